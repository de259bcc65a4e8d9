/** Logins whose back end is paused or drains: they wait without a slot, within bounds, and enter in order after the pause. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openGates, stateOf, statesOf } from './admission-fixture.ts'

for (const state of ['pause', 'drain'] as const)
  test(`${state}: a login waits without a slot, and enters once the state is up`, async () => {
    const gates = openGates()
    gates.admissions.setState('store-1', state)
    assert.equal(gates.admissions.isOpen('store-1'), false)
    const comer = gates.come()
    gates.pass(30_000)
    assert.equal(await stateOf(comer.slot), 'waiting')
    assert.deepEqual([gates.facts()?.logins, gates.facts()?.sessions, gates.facts()?.waiting], [0, 0, 1])
    gates.admissions.setState('store-1', 'up')
    gates.pass(100)
    assert.equal(await stateOf(comer.slot), 'in')
    assert.equal((await comer.slot).heldMs >= 30_000, true)
    const [wait] = gates.waits
    assert.deepEqual([wait?.limit, wait?.outcome], ['state', 'admitted'])
    gates.pass(60_000)
    assert.equal(gates.isTicking(), false)
    assert.equal(gates.admissions.isOpen('store-1'), true)
  })

test('a wait ends at its own deadline, also while the queue of the limits has a shorter one', async () => {
  const gates = openGates({ limits: { waitMs: 100 } })
  gates.admissions.setState('store-1', 'pause')
  const [long, short] = [gates.come({ holdMs: 45_000 }), gates.come({ protocol: 'pop3', holdMs: 25_000 })]
  gates.pass(24_900)
  assert.deepEqual(await statesOf([long, short]), ['waiting', 'waiting'])
  gates.pass(200)
  assert.deepEqual(await statesOf([long, short]), ['waiting', 'backend-paused'])
  gates.pass(20_000)
  assert.equal(await stateOf(long.slot), 'backend-paused')
  assert.equal(gates.isTicking(), false)
})

test('a wait ends with the code of the state at its end', async () => {
  for (const [states, code] of [
    [['drain'], 'backend-drained'],
    [['pause', 'drain'], 'backend-drained'],
    [['drain', 'pause'], 'backend-paused'],
  ] as const) {
    const gates = openGates()
    gates.admissions.setState('store-1', 'pause')
    const comer = gates.come({ holdMs: 10_000 })
    for (const state of states) gates.admissions.setState('store-1', state)
    gates.pass(10_100)
    assert.equal(await stateOf(comer.slot), code, states.join())
  }
})

test('reassures a client every 10 to 15 s', () => {
  for (const [random, wanted] of [
    [0, [0, 1, 3]],
    [1, [0, 0, 2]],
  ] as const) {
    const gates = openGates()
    gates.setRandom(random)
    gates.admissions.setState('store-1', 'pause')
    const comer = gates.come()
    const counts = [9900, 4900, 20_000].map((ms) => {
      gates.pass(ms)
      return comer.reassured()
    })
    assert.deepEqual(counts, wanted)
  }
})

test('the line is bounded, and each network has a share of it', async () => {
  const gates = openGates({ limits: { queue: 16, leastForAddress: 1 } })
  gates.admissions.setState('store-1', 'pause')
  const greedy = Array.from({ length: 3 }, () => gates.come({ address: '192.0.2.1' }))
  assert.deepEqual(await statesOf(greedy), ['waiting', 'waiting', 'backend-paused'])
  const others = Array.from({ length: 15 }, () => gates.come())
  assert.deepEqual((await statesOf(others)).filter((state) => state === 'waiting').length, 14)
  greedy[0]?.leave()
  assert.equal(await stateOf(gates.come({ address: '192.0.2.1' }).slot), 'waiting')
  assert.equal(gates.facts()?.waiting, 16)
})

test('a client that leaves frees its place', async () => {
  const gates = openGates()
  gates.admissions.setState('store-1', 'pause')
  const comer = gates.come()
  comer.leave()
  assert.equal(await stateOf(comer.slot), 'Error: left')
  assert.equal(gates.facts()?.waiting, 0)
  assert.equal(gates.waits[0]?.outcome, 'client-left')
})

test('logins enter in order at the rate of the back end, and a new login enters behind them', async () => {
  const gates = openGates({ limits: { loginsPerSecond: 10 }, slowStartMs: 0 })
  gates.admissions.setState('store-1', 'pause')
  const comers = Array.from({ length: 30 }, () => gates.come())
  gates.pass(1000)
  gates.admissions.setState('store-1', 'up')
  gates.pass(1000)
  const late = gates.come()
  const states = await statesOf(comers)
  const entered = states.indexOf('waiting')
  assert.ok(entered >= 9 && entered <= 12, `${entered} have entered`)
  assert.ok(states.slice(entered).every((state) => state === 'waiting'))
  assert.equal(await stateOf(late.slot), 'waiting')
  gates.pass(3000)
  assert.deepEqual(new Set(await statesOf([...comers, late])), new Set(['in']))
})

test('the end of a pause begins a slow start if logins wait', async () => {
  const gates = openGates()
  gates.admissions.setState('store-1', 'pause')
  gates.pass(5000)
  gates.admissions.setState('store-1', 'up')
  assert.equal(gates.facts()?.slowStart, undefined)
  gates.admissions.setState('store-1', 'pause')
  const comers = Array.from({ length: 100 }, () => gates.come())
  gates.pass(5000)
  gates.admissions.setState('store-1', 'up')
  gates.pass(1000)
  const entered = (await statesOf(comers)).filter((state) => state === 'in').length
  assert.ok(entered >= 5 && entered < 30, `${entered} have entered`)
})

test('a network at its share does not stop the others', async () => {
  const gates = openGates({ limits: { logins: 8, leastForAddress: 1 }, slowStartMs: 0 })
  gates.admissions.setState('store-1', 'pause')
  const same = Array.from({ length: 3 }, () => gates.come({ address: '192.0.2.1' }))
  const other = gates.come()
  gates.admissions.setState('store-1', 'up')
  gates.pass(100)
  assert.deepEqual(await statesOf([...same, other]), ['in', 'waiting', 'waiting', 'in'])
})

test('logins that wait for a slot move to the line when the back end is paused', async () => {
  const gates = openGates({ limits: { logins: 1 }, slowStartMs: 0 })
  const first = gates.come()
  const second = gates.come()
  gates.admissions.setState('store-1', 'pause')
  ;(await first.slot).release()
  gates.pass(12_000) // longer than the queue of the limits lets a login wait
  assert.equal(await stateOf(second.slot), 'waiting')
  gates.admissions.setState('store-1', 'up')
  gates.pass(100)
  assert.equal(await stateOf(second.slot), 'in')
})

test('down ends each wait as an outage, and so does the end of mailmux', async () => {
  const gates = openGates({ limits: { logins: 1 } })
  const inside = gates.come()
  const queued = gates.come()
  gates.admissions.setState('store-1', 'down')
  assert.deepEqual(await statesOf([inside, queued]), ['in', 'backend-down'])
  gates.admissions.setState('store-1', 'pause')
  const held = gates.come()
  gates.admissions.setState('store-1', 'down')
  assert.equal(await stateOf(held.slot), 'backend-down')
  gates.admissions.setState('store-1', 'drain')
  const last = gates.come()
  gates.admissions.close()
  assert.equal(await stateOf(last.slot), 'shutting-down')
  assert.equal(await stateOf(gates.come().slot), 'shutting-down')
})
