/** No order of events breaks a limit, forgets somebody who waits, or keeps a place that nobody has. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { shareOf } from '../../../src/backend/admission/address-share.ts'
import type { Slot } from '../../../src/backend/admission/slot.ts'
import { openGates } from './admission-fixture.ts'

const limits = fc.record({
  sessions: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
  logins: fc.integer({ min: 1, max: 12 }),
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
    'come known',
    'log in',
    'release',
    'release twice',
    'pause',
    'resume',
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
  isKnown: boolean
  address: string
  state: 'waiting' | 'login' | 'paused' | 'resuming' | 'session' | 'over'
  slot?: Slot
  leave: () => void
  settled: number
}

/** First attempts of known users, and further attempts. A guess may lose its turn to a known user of its address. */
const KINDS = ['1 true', '2 false'].flatMap((kind) => [0, 1, 2].map((host) => `${kind} 192.0.2.${host}`))
const NEVER = new AbortController().signal

test('no order of events breaks a limit or leaks a place', async () => {
  await fc.assert(
    fc.asyncProperty(limits, fc.array(event, { maxLength: 120 }), async (limit, events) => {
      const gates = openGates({ limits: limit, slowStartMs: 500 })
      const guests: Guest[] = []
      const letIn: Guest[] = []
      const those = (...states: Guest['state'][]): Guest[] => guests.filter(({ state }) => states.includes(state))
      const come = (attempt: number, pick: number, isKnown = false): void => {
        const address = `192.0.2.${pick % 3}`
        const { slot, leave } = gates.come({ attempt, address, isKnown })
        const guest: Guest = { attempt, isKnown, address, state: 'waiting', leave, settled: 0 }
        guests.push(guest)
        slot.then(
          (taken) => {
            Object.assign(guest, { state: 'login', slot: taken, settled: guest.settled + 1 })
            letIn.push(guest)
          },
          () => Object.assign(guest, { state: 'over', settled: guest.settled + 1 }),
        )
      }
      for (const [what, pick] of events) {
        const one = (candidates: Guest[]): Guest | undefined => candidates[pick % Math.max(1, candidates.length)]
        const inside = one(those('login', 'paused', 'session'))
        if (what === 'come') come(1, pick)
        if (what === 'come again') come(2, pick)
        if (what === 'come known') come(1, pick, true)
        if (what === 'log in') {
          const guest = one(those('login'))
          guest?.slot?.becomeSession()
          if (guest) guest.state = 'session'
        }
        if (what === 'pause') {
          const guest = one(those('login'))
          guest?.slot?.pause()
          if (guest) guest.state = 'paused'
        }
        if (what === 'resume') {
          const guest = one(those('paused'))
          if (guest) {
            guest.state = 'resuming'
            const options = {
              protocol: 'imap',
              untilMs: Infinity,
              holdUntilMs: Infinity,
              signal: NEVER,
              stillWaiting: () => undefined,
            } as const
            guest.slot?.resume(options).then(
              () => (guest.state = 'login'),
              () => {
                guest.slot?.release() // as the login does that has lost its back end
                guest.state = 'over'
              },
            )
          }
        }
        if (what.startsWith('release') && inside) {
          inside.slot?.release()
          if (what === 'release twice') inside.slot?.release()
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
        const waiting = those('waiting', 'resuming').length
        assert.deepEqual(counted, [those('login').length, those('session').length, waiting])
        assert.ok(facts.logins <= limit.logins)
        const paused = those('paused', 'resuming').length
        assert.ok(facts.logins + paused + facts.sessions <= (limit.sessions ?? Number.POSITIVE_INFINITY))
        assert.ok(those('waiting').length <= 2 * limit.queue)
        for (const address of new Set(guests.map((guest) => guest.address))) {
          const own = those('login', 'paused', 'resuming').filter((guest) => guest.address === address)
          assert.ok(own.length <= shareOf(limit.logins, 4))
        }
        assert.ok(guests.every(({ settled }) => settled <= 1))
        assert.ok(facts.waiting === 0 || gates.isTicking())
      }
      // First come, first served, among those of a kind with one address.
      for (const kind of KINDS) {
        const alike = letIn.filter(({ attempt, isKnown, address }) => `${attempt} ${isKnown} ${address}` === kind)
        const order = alike.map((guest) => guests.indexOf(guest))
        assert.deepEqual(
          order,
          order.toSorted((a, b) => a - b),
        )
      }
      // Whatever has happened: once all have gone, nothing is left.
      for (const { slot } of guests) slot?.release()
      for (const guest of guests) guest.leave()
      await new Promise(setImmediate)
      for (const { slot } of guests) slot?.release() // those who were let in while the others went
      gates.pass(2000)
      const { logins, sessions, waiting } = gates.facts() ?? {}
      assert.deepEqual([logins, sessions, waiting, gates.isTicking()], [0, 0, 0, false])
      assert.ok(guests.every(({ settled }) => settled === 1))
    }),
    { numRuns: 300 },
  )
})
