/** What the writer of states asks of Redis, and what it makes of the answers. test/e2e/backend-states.test.ts runs its scripts in a real Redis. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendStateOrder } from '../../../../src/directory/directory.ts'
import { createStateWriter, RESET_STATE, SET_STATE } from '../../../../src/directory/redis/state-writer.ts'

const DRAIN: BackendStateOrder = { state: 'drain', over: '10m', by: 'root@mx1', isForced: false }

function answering(answer: unknown) {
  const asked: unknown[] = []
  const redis = {
    eval(script: string, keys: readonly string[], ...values: string[]) {
      asked.push([script, keys, values])
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
    },
  }
  return { write: createStateWriter(redis, 'mailmux:', () => 1_700_000_000_999), asked }
}

test('sets and removes a state by one script of one key', async () => {
  const { write, asked } = answering(['changed'])
  assert.deepEqual(await write('store1', DRAIN), { result: 'changed' })
  assert.deepEqual(await write('store1', { ...DRAIN, state: 'up', over: undefined, isForced: true }), {
    result: 'changed',
  })
  assert.deepEqual(await write('store1', { ...DRAIN, reassign: true }), { result: 'changed' })
  assert.deepEqual(await write('store1', undefined), { result: 'changed' })
  const keys = ['mailmux:backend:store1']
  assert.deepEqual(asked, [
    [SET_STATE, keys, ['drain', '10m', 'root@mx1', '1700000000', '0', '']],
    [SET_STATE, keys, ['up', '', 'root@mx1', '1700000000', '1', '']],
    [SET_STATE, keys, ['drain', '10m', 'root@mx1', '1700000000', '0', '1']],
    [RESET_STATE, keys, []],
  ])
  assert.deepEqual(await answering(['unchanged']).write('store1', DRAIN), { result: 'unchanged' })
})

test('returns the fields that Redis has of another drain', async () => {
  assert.deepEqual(await answering(['held', '1h', 'root@mx2', '1700000000']).write('store1', DRAIN), {
    result: 'held',
    over: '1h',
    by: 'root@mx2',
    sinceMs: 1_700_000_000_000,
  })
  const nothing = { result: 'held', over: undefined, by: undefined, sinceMs: undefined }
  assert.deepEqual(await answering(['held', '', '', '']).write('store1', DRAIN), nothing)
  assert.deepEqual(await answering(['held', '', '', 'yesterday']).write('store1', DRAIN), nothing)
  const long = await answering(['held', '', 'x'.repeat(1000), '']).write('store1', DRAIN)
  assert.equal('by' in long && long.by?.length, 200)
})

test('asks Redis nothing for a time that instances would refuse', async () => {
  for (const over of ['soon', '1d', '169h', '-1s', '']) {
    const { write, asked } = answering(['changed'])
    const answer = await write('store1', { ...DRAIN, over })
    assert.equal(answer.result, 'wrong', over)
    assert.match('why' in answer ? answer.why : '', /is no duration up to 168h/)
    assert.deepEqual(asked, [])
  }
})

test('says what is wrong with the key, and what keeps Redis from an answer', async () => {
  const wrongType = Object.assign(new Error('WRONGTYPE Operation against a key holding the wrong kind of value'), {
    name: 'ReplyError',
  })
  assert.deepEqual(await answering(wrongType).write('store1', DRAIN), {
    result: 'wrong',
    why: 'the key mailmux:backend:store1 in Redis is not a hash',
  })
  const forbidden = Object.assign(new Error("NOPERM this user has no permissions to run the 'eval' command"), {
    name: 'ReplyError',
  })
  await assert.rejects(answering(forbidden).write('store1', DRAIN), {
    code: 'directory-unavailable',
    message: /^Redis: NOPERM .*'eval'/,
  })
  for (const odd of [null, 'changed', [], ['other'], 1])
    await assert.rejects(answering(odd).write('store1', undefined), {
      code: 'directory-unavailable',
      message: /another form/,
    })
})
