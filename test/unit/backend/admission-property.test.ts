/** No order of events breaks a limit, forgets somebody who waits, or keeps a place that nobody has. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Turn } from '../../../src/backend/turn.ts'
import { openGates } from './admission-fixture.ts'

const limits = fc.record({
  sessions: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
  logins: fc.integer({ min: 1, max: 8 }),
  loginsPerSecond: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
  waitMs: fc.integer({ min: 0, max: 3000 }),
  queue: fc.integer({ min: 1, max: 10 }),
})

/** What happens next; the number picks whom it happens to. */
const event = fc.tuple(
  fc.constantFrom(
    'come',
    'come',
    'come again',
    'log in',
    'release',
    'release twice',
    'leave',
    'pass',
    'recover',
    'lose',
    'reload',
  ),
  fc.nat(1000),
)

type Guest = {
  attempt: number
  state: 'waiting' | 'login' | 'session' | 'over'
  turn?: Turn
  leave: () => void
  settled: number
}

test('no order of events breaks a limit or leaks a place', async () => {
  await fc.assert(
    fc.asyncProperty(limits, fc.array(event, { maxLength: 120 }), async (limit, events) => {
      const gates = openGates({ limits: limit, slowStartMs: 500 })
      const guests: Guest[] = []
      const letIn: Guest[] = []
      const those = (...states: Guest['state'][]): Guest[] => guests.filter(({ state }) => states.includes(state))
      const come = (attempt: number): void => {
        const { turn, leave } = gates.come({ attempt })
        const guest: Guest = { attempt, state: 'waiting', leave, settled: 0 }
        guests.push(guest)
        turn.then(
          (taken) => {
            Object.assign(guest, { state: 'login', turn: taken, settled: guest.settled + 1 })
            letIn.push(guest)
          },
          () => Object.assign(guest, { state: 'over', settled: guest.settled + 1 }),
        )
      }
      for (const [what, pick] of events) {
        const one = (candidates: Guest[]): Guest | undefined => candidates[pick % Math.max(1, candidates.length)]
        const inside = one(those('login', 'session'))
        if (what === 'come') come(1)
        if (what === 'come again') come(2)
        if (what === 'log in') {
          const guest = one(those('login'))
          guest?.turn?.loggedIn()
          if (guest) guest.state = 'session'
        }
        if (what.startsWith('release') && inside) {
          inside.turn?.release()
          if (what === 'release twice') inside.turn?.release()
          inside.state = 'over'
        }
        if (what === 'leave') one(those('waiting'))?.leave()
        if (what === 'pass') gates.pass(pick)
        if (what === 'recover') gates.admissions.recovered('store-1', 1000)
        if (what === 'lose') gates.admissions.lost('store-1', 'imap')
        if (what === 'reload') gates.admissions.configure(new Map([['store-1', gates.settings()]]))
        await new Promise(setImmediate)

        const facts = gates.facts()
        assert.ok(facts)
        const counted = [facts.logins, facts.sessions, facts.waiting]
        assert.deepEqual(counted, [those('login').length, those('session').length, those('waiting').length])
        assert.ok(facts.logins <= limit.logins)
        assert.ok(facts.logins + facts.sessions <= (limit.sessions ?? Number.POSITIVE_INFINITY))
        assert.ok(facts.waiting <= 2 * limit.queue)
        assert.ok(guests.every(({ settled }) => settled <= 1))
        assert.ok(facts.waiting === 0 || gates.isTicking())
      }
      // First come, first served, among those of a kind.
      for (const kind of [1, 2]) {
        const order = letIn.filter(({ attempt }) => attempt === kind).map((guest) => guests.indexOf(guest))
        assert.deepEqual(
          order,
          order.toSorted((a, b) => a - b),
        )
      }
      // Whatever has happened: once all have gone, nothing is left.
      for (const { turn } of guests) turn?.release()
      for (const guest of guests) guest.leave()
      await new Promise(setImmediate)
      for (const { turn } of guests) turn?.release() // those who were let in while the others went
      gates.pass(2000)
      const { logins, sessions, waiting } = gates.facts() ?? {}
      assert.deepEqual([logins, sessions, waiting, gates.isTicking()], [0, 0, 0, false])
      assert.ok(guests.every(({ settled }) => settled === 1))
    }),
    { numRuns: 300 },
  )
})
