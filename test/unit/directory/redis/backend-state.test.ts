/** The hash of a back end in Redis, which other programs write. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readStoredState } from '../../../../src/directory/redis/backend-state.ts'

for (const [state, over, expected] of [
  [null, null, undefined],
  ['up', null, { state: 'up', overMs: undefined }],
  ['drain', '10m', { state: 'drain', overMs: 600_000 }],
  ['drain', '168h', { state: 'drain', overMs: 604_800_000 }],
  ['pause', null, { state: 'pause', overMs: undefined }],
  ['down', null, { state: 'down', overMs: undefined }],
] as const)
  test(`takes state ${state} and over ${over}`, () => assert.deepEqual(readStoredState([state, over]), expected))

test('takes the order to reassign users of a drain, and ignores it with another state', () => {
  const drain = { state: 'drain', overMs: undefined }
  assert.deepEqual(readStoredState(['drain', null, '1']), { ...drain, reassign: true })
  assert.deepEqual(readStoredState(['drain', '10m', '1']), { ...drain, overMs: 600_000, reassign: true })
  assert.deepEqual(readStoredState(['drain', null, '0']), drain)
  assert.deepEqual(readStoredState(['up', null, '1']), { state: 'up', overMs: undefined })
  assert.deepEqual(readStoredState(['drain', null, 'yes']), {
    wrong: 'the value "yes" of "reassign" is neither 1 nor 0',
  })
  assert.deepEqual(readStoredState([null, null, '1']), { wrong: 'the field "reassign" without the field "state"' })
})

for (const [state, over, words] of [
  ['UP', null, /"UP" is none of up, drain, pause, down/],
  ['', null, /"" is none of/],
  ['x'.repeat(1_000_000), null, /"x{40}" is none of/],
  ['a\u001b[2J', null, /"a\\u001b\[2J" is none of/],
  [null, '10m', /without the field "state"/],
  ['drain', '10', /"10" of "over" is no duration/],
  ['drain', '-1s', /no duration/],
  ['drain', '169h', /no duration up to 168h/],
  ['drain', '9'.repeat(1000), /no duration/],
  ['toString', null, /none of/],
] as const)
  test(`refuses state ${String(state).slice(0, 20)} and over ${String(over).slice(0, 20)}`, () => {
    const read = readStoredState([state, over])
    assert.ok(read && 'wrong' in read)
    assert.match(read.wrong, words)
  })
