/** What forbids the move of one user. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RoutingSettings } from '../../../src/config/settings.ts'
import { checkUser, isHeldByMove } from '../../../src/move/check.ts'

const routing = { users: new Map(), domains: new Map(), backends: new Map() } as unknown as RoutingSettings
const NONE = { backend: undefined, status: undefined, hold: undefined }

test('names the full form of a name without a domain that has no route', () => {
  assert.deepEqual(checkUser('alice', NONE, 'store2', routing), [
    'the directory has no route of the user: give the name as it is in the directory, with its domain (alice@DOMAIN)',
  ])
  assert.deepEqual(checkUser('alice@example.test', NONE, 'store2', routing), ['the directory has no route of the user'])
})

test('only the hold of another move is temporary, and only if nothing else is wrong', () => {
  const backends = new Map([['store1', {}]])
  const known = { ...routing, backends } as unknown as RoutingSettings
  const held = (by: string | undefined) => ({ backend: 'store1', status: 'hold', hold: { by, sinceSeconds: 0 } })
  for (const [by, to, temporary] of [
    ['mail1/7', 'store2', true],
    ['mail1/7', 'store1', false], // the user is on the target already
    [undefined, 'store2', false], // an operator's hold, which has no end
  ] as const) {
    const wrong = checkUser('alice@example.test', held(by), to, known)
    assert.equal(isHeldByMove(held(by), wrong), temporary, wrong.join('; '))
  }
})
