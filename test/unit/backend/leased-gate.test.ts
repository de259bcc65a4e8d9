/** A gate whose limits are leased: it admits what its lease allows, whatever the configured limit is, and asks for more when logins wait. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openGates, statesOf } from './admission-fixture.ts'

function openLeased(limits = {}) {
  let asked = 0
  const gates = openGates({ limits: { sessions: 10, logins: 10, ...limits }, onShort: () => (asked += 1) })
  const lease = (sessions: number | undefined, logins: number) =>
    gates.admissions.lease(new Map([['store-1', { sessions, logins }]])).get('store-1')
  return { ...gates, lease, asked: () => asked }
}

test('admits nothing before it has a lease, and asks for one', async () => {
  const gates = openLeased()
  const comers = [gates.come(), gates.come()]
  assert.deepEqual(await statesOf(comers), ['waiting', 'waiting'])
  assert.equal(gates.asked(), 2)
  assert.deepEqual(gates.lease(1, 1), { sessions: 1, logins: 1, waiting: 1 })
  assert.deepEqual(await statesOf(comers), ['in', 'waiting'])
})

test('admits by the lease of each limit', async () => {
  const gates = openLeased()
  gates.lease(2, 1)
  const comers = [gates.come(), gates.come(), gates.come()]
  assert.deepEqual(await statesOf(comers), ['in', 'waiting', 'waiting'])
  const first = await comers[0]?.slot
  first?.becomeSession()
  assert.deepEqual(await statesOf(comers), ['in', 'in', 'waiting'])
  assert.deepEqual(gates.lease(2, 2), { sessions: 2, logins: 1, waiting: 1 })
  assert.deepEqual(await statesOf(comers), ['in', 'in', 'waiting'])
})

test('keeps what is over a lower lease, and admits nothing until it is under it', async () => {
  const gates = openLeased()
  gates.lease(3, 3)
  const inside = [gates.come(), gates.come(), gates.come()]
  await statesOf(inside)
  assert.deepEqual(gates.lease(2, 2), { sessions: 3, logins: 3, waiting: 0 })
  const late = gates.come()
  ;(await inside[0]?.slot)?.release()
  assert.deepEqual(await statesOf([late]), ['waiting'])
  ;(await inside[1]?.slot)?.release()
  assert.deepEqual(await statesOf([late]), ['in'])
})

test('has no limit of sessions where none is configured, and none of a lease is missing where one is', async () => {
  const without = openLeased({ sessions: undefined })
  without.lease(undefined, 2)
  assert.deepEqual(await statesOf([without.come(), without.come()]), ['in', 'in'])
  const newlyLimited = openLeased()
  newlyLimited.lease(undefined, 2)
  assert.deepEqual(await statesOf([newlyLimited.come()]), ['waiting'])
})

test('asks for more when a paused login waits to go on', async () => {
  const gates = openLeased()
  gates.lease(5, 1)
  const comer = gates.come()
  const slot = await comer.slot
  slot.pause()
  gates.lease(5, 0)
  const before = gates.asked()
  const options = { protocol: 'imap', untilMs: 1e9, holdUntilMs: 1e9, stillWaiting: () => undefined } as const
  const resumed = slot.resume({ ...options, signal: new AbortController().signal })
  assert.equal(gates.asked(), before + 1)
  gates.lease(5, 1)
  await resumed
  assert.equal(gates.facts()?.logins, 1)
})
