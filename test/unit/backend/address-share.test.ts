/** One client must not take all logins of a back end, nor its whole queue. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shareOf } from '../../../src/backend/admission/address-share.ts'
import { openGates, stateOf, statesOf } from './admission-fixture.ts'

const ONE = '192.0.2.1'
const OTHER = '192.0.2.2'
const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)
const count = (states: string[], state: string): number => states.filter((one) => one === state).length

test('is an eighth of a limit, and of a small one as much as four', () => {
  assert.deepEqual(
    [1, 3, 4, 8, 32, 33, 1000, 10_000].map((limit) => shareOf(limit, 4)),
    [1, 3, 4, 4, 4, 5, 125, 1250],
  )
})

test('leaves slots to other clients where one asks for all of them', async () => {
  const gates = openGates({ limits: { logins: 40 } })
  const greedy = times(100, () => gates.come({ address: ONE }))
  assert.equal(count(await statesOf(greedy), 'in'), 5)
  assert.equal(await stateOf(gates.come({ address: OTHER }).slot), 'in')
})

test('lets the next of a client in where one of its logins ends, as a login or as a session', async () => {
  const gates = openGates({ limits: { logins: 40 } })
  const greedy = times(7, () => gates.come({ address: ONE }))
  const [first, second] = await Promise.all(greedy.slice(0, 2).map(({ slot }) => slot))
  first?.becomeSession()
  assert.deepEqual(await statesOf(greedy.slice(5)), ['in', 'waiting'])
  second?.release()
  assert.deepEqual(await statesOf(greedy.slice(5)), ['in', 'in'])
})

test('counts a login that waits for its client', async () => {
  const gates = openGates({ limits: { logins: 40 } })
  const greedy = times(6, () => gates.come({ address: ONE }))
  for (const { slot } of greedy.slice(0, 5)) (await slot).pause()
  assert.equal(await stateOf(greedy[5]!.slot), 'waiting')
  assert.equal(gates.facts()?.logins, 0)
})

test('lets a client with a full share wait behind others, however early it came', async () => {
  const gates = openGates({ limits: { logins: 1 } })
  const greedy = times(3, () => gates.come({ address: ONE }))
  const other = gates.come({ address: OTHER })
  ;(await greedy[0]!.slot).release()
  assert.deepEqual(await statesOf([...greedy.slice(1), other]), ['waiting', 'waiting', 'in'])
  ;(await other.slot).release()
  assert.deepEqual(await statesOf(greedy.slice(1)), ['in', 'waiting'])
})

test('leaves room in the queue to other clients', async () => {
  const gates = openGates({ limits: { logins: 1, queue: 40 } })
  const greedy = times(30, () => gates.come({ address: ONE }))
  const states = await statesOf(greedy)
  assert.deepEqual([count(states, 'in'), count(states, 'waiting'), count(states, 'backend-busy')], [1, 5, 24])
  assert.ok(gates.waits.every(({ limit, outcome }) => limit === 'per_address' && outcome === 'queue-full'))
  assert.equal(await stateOf(gates.come({ address: OTHER }).slot), 'waiting')
})

test('counts nothing for a login without a client', () => {
  const gates = openGates({ limits: { logins: 40 } })
  for (let i = 0; i < 40; i++) assert.ok(gates.admissions.enter(gates.backend, 1))
})

test('says in the log and in the outcome of a wait that it is the limit', async () => {
  const gates = openGates({ limits: { logins: 40 } })
  const greedy = times(6, () => gates.come({ address: ONE }))
  ;(await greedy[0]!.slot).release()
  await greedy[5]!.slot
  assert.deepEqual(gates.waits, [{ backend: 'store-1', limit: 'per_address', outcome: 'admitted', ms: 0 }])
  assert.deepEqual(
    gates.lines.map(({ message, limit }) => [message, limit]),
    [['limit of a back end reached', 'per_address']],
  )
})

test('follows a limit that a reload has raised', async () => {
  const gates = openGates({ limits: { logins: 40 } })
  const greedy = times(10, () => gates.come({ address: ONE }))
  assert.equal(count(await statesOf(greedy), 'in'), 5)
  gates.admissions.configure(new Map([[gates.backend.name, gates.settings({ logins: 80 })]]))
  assert.equal(count(await statesOf(greedy), 'in'), 10)
})

test('is forgotten with the last login and the last wait', async () => {
  const gates = openGates({ limits: { logins: 40 } })
  for (let round = 0; round < 3; round++) {
    const greedy = times(9, () => gates.come({ address: ONE }))
    for (const { slot } of greedy.slice(0, 5)) (await slot).release()
    for (const { leave } of greedy.slice(5)) leave()
    for (const { slot } of greedy.slice(5)) await slot.then((taken) => taken.release()).catch(() => undefined)
  }
  assert.equal(count(await statesOf(times(5, () => gates.come({ address: ONE }))), 'in'), 5)
})
