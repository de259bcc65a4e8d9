/** Which logins a back end gets, when, in which order, and how the others end. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { openGates, stateOf, statesOf } from './admission-fixture.ts'

describe('without a limit reached', () => {
  test('there is a slot at once, and no timer runs', async () => {
    const gates = openGates()
    const comers = Array.from({ length: 1000 }, () => gates.come())
    assert.deepEqual(new Set(await statesOf(comers)), new Set(['in']))
    assert.equal(gates.isTicking(), false)
    assert.deepEqual([gates.waits, gates.lines], [[], []])
  })

  test('a back end that is not in the configuration gets a gate of its own', () => {
    const gates = openGates({ limits: { logins: 1 } })
    assert.ok(gates.admissions.enter(gates.backend, 1))
    assert.ok(gates.admissions.enter({ ...gates.backend, name: 'store-2' }, 1))
    assert.equal(gates.admissions.enter(gates.backend, 1), undefined)
  })
})

describe('logins under way', () => {
  test('are never more than the limit; waiting logins are admitted in order', async () => {
    const gates = openGates({ limits: { logins: 2 } })
    const comers = Array.from({ length: 5 }, () => gates.come())
    assert.deepEqual(await statesOf(comers), ['in', 'in', 'waiting', 'waiting', 'waiting'])
    ;(await comers[1]?.slot)?.release()
    assert.deepEqual(await statesOf(comers), ['in', 'in', 'in', 'waiting', 'waiting'])
    ;(await comers[0]?.slot)?.becomeSession()
    assert.deepEqual(await statesOf(comers), ['in', 'in', 'in', 'in', 'waiting'])
    assert.deepEqual([gates.facts()?.sessions, gates.facts()?.logins, gates.facts()?.waiting], [1, 2, 1])
  })

  test('a place is given back once, however often it is released', async () => {
    const gates = openGates({ limits: { logins: 1, sessions: 2 } })
    const [first] = [gates.come(), gates.come(), gates.come()]
    const slot = await first.slot
    slot.becomeSession()
    slot.becomeSession()
    slot.release()
    slot.release()
    slot.becomeSession()
    assert.deepEqual([gates.facts()?.sessions, gates.facts()?.logins, gates.facts()?.waiting], [0, 1, 1])
  })

  test('a new login does not overtake waiting ones, even if there is room by then', async () => {
    const gates = openGates({ limits: { logins: 1, loginsPerSecond: 10 } })
    const first = gates.come()
    const second = gates.come() // waits for the place
    ;(await first.slot).release() // there is a place now, but no right to another login this instant
    assert.equal(await stateOf(second.slot), 'waiting')
    const third = gates.come()
    gates.pass(100)
    assert.deepEqual(await statesOf([second, third]), ['in', 'waiting'])
  })

  test('a login that is tried again goes ahead of those that have not been in, and behind its like', async () => {
    const gates = openGates({ limits: { logins: 1 } })
    const first = gates.come()
    const arriving = [gates.come(), gates.come()]
    const returning = [gates.come({ attempt: 2 }), gates.come({ attempt: 3 })]
    const order: string[] = []
    const all = [
      ...arriving.map((comer, i) => ({ ...comer, name: `new ${i}` })),
      ...returning.map((comer, i) => ({ ...comer, name: `again ${i}` })),
    ]
    const ends = all.map(async ({ slot, name }) => {
      const taken = await slot
      order.push(name)
      taken.release()
    })
    ;(await first.slot).release()
    await Promise.all(ends)
    assert.deepEqual(order, ['again 0', 'again 1', 'new 0', 'new 1'])
  })
})

describe('sessions', () => {
  test('are never more than the limit, logins under way included', async () => {
    const gates = openGates({ limits: { sessions: 2 } })
    const comers = [gates.come(), gates.come(), gates.come()]
    for (const comer of comers.slice(0, 2)) (await comer.slot).becomeSession()
    assert.deepEqual(await statesOf(comers), ['in', 'in', 'waiting'])
    ;(await comers[0]?.slot)?.release()
    assert.deepEqual(await statesOf(comers), ['in', 'in', 'in'])
    assert.deepEqual(gates.waits, [{ backend: 'store-1', limit: 'sessions', outcome: 'admitted', ms: 0 }])
  })
})

describe('logins a second', () => {
  test('come at the rate, and all of them come', async () => {
    const gates = openGates({ limits: { loginsPerSecond: 20 } })
    const comers = Array.from({ length: 50 }, () => gates.come())
    const inAfter = async (ms: number) => {
      gates.pass(ms)
      return (await statesOf(comers)).filter((state) => state === 'in').length
    }
    assert.equal(await inAfter(0), 2) // a tenth of a second's worth
    assert.equal(await inAfter(1000), 22)
    assert.equal(await inAfter(1000), 42)
    assert.equal(await inAfter(1000), 50)
    assert.equal(gates.isTicking(), false)
  })
})

describe('a wait', () => {
  test('ends after its time, by chance up to a quarter sooner', async () => {
    const gates = openGates({ limits: { logins: 1, waitMs: 2000 } })
    gates.come()
    const patient = gates.come()
    gates.setRandom(1)
    const hasty = gates.come()
    gates.pass(1450)
    assert.deepEqual(await statesOf([patient, hasty]), ['waiting', 'waiting'])
    gates.pass(50)
    assert.deepEqual(await statesOf([patient, hasty]), ['waiting', 'backend-busy'])
    gates.pass(500)
    assert.equal(await stateOf(patient.slot), 'backend-busy')
    await assert.rejects(patient.slot, /logins of store-1 was reached for all of the 2000 ms/)
    assert.deepEqual(
      gates.waits.map(({ outcome, ms }) => [outcome, ms]),
      [
        ['timed-out', 1500],
        ['timed-out', 2000],
      ],
    )
    assert.equal(gates.isTicking(), false)
  })

  test('ends with the login’s own deadline', async () => {
    const gates = openGates({ limits: { logins: 1, waitMs: 10_000 } })
    gates.come()
    const comer = gates.come({ waitMs: 500 })
    gates.pass(450)
    assert.equal(await stateOf(comer.slot), 'waiting')
    gates.pass(50)
    assert.equal(await stateOf(comer.slot), 'backend-busy')
  })

  test('ends when the client goes, and frees its place in the line', async () => {
    const gates = openGates({ limits: { logins: 1, queue: 1 } })
    const first = gates.come()
    const leaver = gates.come()
    const refused = gates.come()
    leaver.leave(new MuxError('client-closed', 'gone'))
    const next = gates.come()
    assert.deepEqual(await statesOf([leaver, refused, next]), ['client-closed', 'backend-busy', 'waiting'])
    ;(await first.slot).release()
    assert.equal(await stateOf(next.slot), 'in')
    assert.deepEqual(
      gates.waits.map(({ outcome }) => outcome),
      ['queue-full', 'client-left', 'admitted'],
    )
  })

  test('does not begin for a client that has gone already', async () => {
    const gates = openGates({ limits: { logins: 1 } })
    gates.come()
    const gone = AbortSignal.abort(new MuxError('client-closed', 'gone'))
    const options = {
      protocol: 'imap' as const,
      untilMs: gates.nowMs() + 1000,
      holdUntilMs: gates.nowMs() + 1000,
      signal: gone,
      stillWaiting: () => undefined,
    }
    await assert.rejects(gates.admissions.wait(gates.backend, 1, options), { code: 'client-closed' })
    assert.equal(gates.facts()?.waiting, 0)
  })

  test('ends when the back end goes down for its protocol, and for no other', async () => {
    const gates = openGates({ limits: { logins: 1 } })
    gates.come()
    const comers = [gates.come(), gates.come({ protocol: 'pop3' }), gates.come({ attempt: 2 })]
    gates.admissions.lost('store-2', 'imap')
    gates.admissions.lost('store-1', 'imap')
    assert.deepEqual(await statesOf(comers), ['backend-down', 'waiting', 'backend-down'])
  })

  test('that nothing needs any more is none', async () => {
    const gates = openGates({ limits: { logins: 1 } })
    const options = {
      protocol: 'imap' as const,
      untilMs: 1e9,
      holdUntilMs: 1e9,
      signal: new AbortController().signal,
      stillWaiting: () => undefined,
    }
    const slot = await gates.admissions.wait(gates.backend, 1, options)
    slot.release()
    assert.deepEqual(gates.waits, [])
  })

  test('reassures a queued client every 5 s', () => {
    const gates = openGates({ limits: { logins: 1, waitMs: 30_000 } })
    gates.come()
    const comer = gates.come({ waitMs: 60_000 })
    gates.pass(4950)
    assert.equal(comer.reassured(), 0)
    gates.pass(50)
    assert.equal(comer.reassured(), 1)
    gates.pass(10_000)
    assert.equal(comer.reassured(), 3)
  })

  test('is refused if the queue is full; retried logins have a queue of their own', async () => {
    const gates = openGates({ limits: { logins: 1, queue: 2 } })
    gates.come()
    const comers = [gates.come(), gates.come(), gates.come(), gates.come({ attempt: 2 })]
    assert.deepEqual(await statesOf(comers), ['waiting', 'waiting', 'backend-busy', 'waiting'])
    await assert.rejects(
      comers[2]?.slot ?? Promise.resolve(),
      /logins of store-1 is reached, and 2 logins wait already/,
    )
  })

  test('ends on shutdown, and none begins after it; slots that were taken can still be given back', async () => {
    const gates = openGates({ limits: { logins: 1 } })
    const first = gates.come()
    const waiting = gates.come()
    gates.admissions.close()
    const late = gates.come()
    assert.deepEqual(await statesOf([first, waiting, late]), ['in', 'shutting-down', 'shutting-down'])
    assert.equal(gates.isTicking(), false)
    ;(await first.slot).release()
    assert.equal(gates.facts()?.logins, 0)
  })
})

describe('a reload', () => {
  test('with higher limits admits waiting logins', async () => {
    const gates = openGates({ limits: { logins: 1 } })
    const comers = [gates.come(), gates.come(), gates.come()]
    gates.admissions.configure(new Map([[gates.backend.name, gates.settings({ logins: 2 })]]))
    assert.deepEqual(await statesOf(comers), ['in', 'in', 'waiting'])
  })

  test('with lower limits ends no session, and admits no login until there is room', async () => {
    const gates = openGates({ limits: { logins: 3 } })
    const comers = [gates.come(), gates.come(), gates.come()]
    gates.admissions.configure(new Map([[gates.backend.name, gates.settings({ logins: 1 })]]))
    const late = gates.come()
    ;(await comers[0]?.slot)?.release()
    ;(await comers[1]?.slot)?.release()
    assert.equal(await stateOf(late.slot), 'waiting')
    ;(await comers[2]?.slot)?.release()
    assert.equal(await stateOf(late.slot), 'in')
  })

  test('drops the gate of a removed back end after its last session', async () => {
    const gates = openGates()
    const first = gates.come()
    gates.admissions.configure(new Map())
    assert.equal(gates.facts()?.logins, 1)
    ;(await first.slot).release()
    gates.admissions.configure(new Map())
    assert.equal(gates.facts(), undefined)
  })
})

describe('what is logged', () => {
  test('a limit that bites, once a minute, with the number of times', () => {
    const gates = openGates({ limits: { logins: 1, waitMs: 1000 } })
    gates.come()
    for (let i = 0; i < 5; i++) gates.come()
    gates.pass(59_000)
    gates.come()
    assert.equal(gates.lines.length, 1)
    gates.pass(1000)
    gates.come()
    const line = { level: 'warn', message: 'limit of a back end reached', backend: 'store-1', limit: 'logins' }
    assert.deepEqual(gates.lines, [
      { ...line, times: 1, waiting: 0 },
      { ...line, times: 6, waiting: 0 },
    ])
  })
})
