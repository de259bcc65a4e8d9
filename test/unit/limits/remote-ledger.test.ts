/** Several processes with one ledger: counts are exact, a process that ends gives back what it held, and a ledger that is silent stops no mail. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createLedgerHost } from '../../../src/limits/ledger-host.ts'
import { buildListenerLimits } from '../../../src/limits/listener-limits.ts'
import { createLimits } from '../../../src/limits/limits.ts'
import { createLocalLedger } from '../../../src/limits/local-ledger.ts'
import { createRemoteLedger, type RemoteLedger } from '../../../src/limits/remote-ledger.ts'
import { isRejection, type Lease } from '../../../src/limits/rejection.ts'
import { clientLimits } from '../listener/listener-settings.ts'

const penalty = { after: 0, stepMs: 1000, mostMs: 5000, halfLifeMs: 600_000 }
const LIMITS = buildListenerLimits(clientLimits({ connectionsPerAddress: 3, sessionsPerUser: 2, penalty }))
const FACTS = { protocol: 'imap', listener: 'imap', address: '192.0.2.1', limits: LIMITS, user: 'alice' } as const

/** A supervisor, and workers whose messages are copies as on a channel. While the channel is held, answers wait. */
function start() {
  const host = createLedgerHost(createLocalLedger(() => 0))
  let held: (() => void)[] | undefined
  return {
    hold: () => void (held = []),
    letGo() {
      const waiting = held ?? []
      held = undefined
      for (const deliver of waiting) deliver()
    },
    worker() {
      const member = host.join()
      let unanswered = 0
      const remote: RemoteLedger = createRemoteLedger(
        {
          ask: (id, asked) =>
            void member.ask(structuredClone(asked)).then(
              (reply) => {
                const deliver = (): void => remote.hear(id, structuredClone(reply))
                if (held) held.push(deliver)
                else deliver()
              },
              () => undefined,
            ),
          note: (note) => member.note(structuredClone(note)),
        },
        () => unanswered++,
      )
      const limits = createLimits({ ledger: remote.ledger })
      const say = (answer: unknown): string =>
        isRejection(answer as Lease) ? 'rejected' : answer === undefined ? 'free' : 'ok'
      const leases: Lease[] = []
      return {
        async connect(): Promise<string> {
          const answer = await limits.admitConnection(FACTS)
          if (answer && !isRejection(answer)) leases.push(answer)
          return say(answer)
        },
        async session(): Promise<string> {
          const answer = await limits.admitSession({ ...FACTS, backend: 'store1', mailbox: 'alice' })
          return say(answer)
        },
        login: async () => limits.admitLogin(FACTS),
        fail: () => limits.loginRefused(FACTS),
        end: () => leases.shift()?.release(),
        exit: () => member.end(),
        unanswered: () => unanswered,
      }
    },
  }
}

test('connections and sessions of all workers count together', async () => {
  const site = start()
  const [one, two] = [site.worker(), site.worker()]
  assert.deepEqual(
    [await one.connect(), await two.connect(), await one.connect(), await two.connect()],
    ['ok', 'ok', 'ok', 'rejected'],
  )
  assert.deepEqual([await one.session(), await two.session(), await one.session()], ['ok', 'ok', 'rejected'])
  one.end()
  assert.deepEqual([await two.connect(), await one.connect()], ['ok', 'rejected'])
})

test('as many connections at once as there may be are admitted, whichever workers accept them', async () => {
  const site = start()
  const workers = [site.worker(), site.worker(), site.worker()]
  const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => workers[n % 3]!.connect()))
  assert.equal(answers.filter((answer) => answer === 'ok').length, 3)
})

test('a worker that ends gives back what it held, and its late messages change nothing', async () => {
  const site = start()
  const [one, two] = [site.worker(), site.worker()]
  await Promise.all([one.connect(), one.connect(), two.connect(), one.session()])
  assert.equal(await two.connect(), 'rejected')
  one.exit()
  one.end()
  await nextTurn()
  assert.deepEqual([await two.connect(), await two.connect(), await two.connect()], ['ok', 'ok', 'rejected'])
  assert.deepEqual([await two.session(), await two.session(), await two.session()], ['ok', 'ok', 'rejected'])
})

test('failures at one worker delay the logins at another', async () => {
  const site = start()
  const [one, two] = [site.worker(), site.worker()]
  one.fail()
  one.fail()
  const delay = await two.login()
  assert.equal(delay && 'delayMs' in delay && delay.delayMs, 2000)
})

function mockTimers(t: TestContext): void {
  t.mock.timers.enable({ apis: ['setTimeout'] })
}

test('without an answer a connection goes on, and what a late answer has taken is given back', async (t) => {
  const site = start()
  const [one, two] = [site.worker(), site.worker()]
  mockTimers(t)
  site.hold()
  const asked = [one.connect(), one.connect(), one.connect(), one.login(), one.session()]
  await nextTurn()
  t.mock.timers.tick(500)
  assert.deepEqual(await Promise.all(asked), ['free', 'free', 'free', undefined, 'free'])
  assert.equal(one.unanswered(), 5)
  site.letGo()
  await nextTurn()
  assert.deepEqual(
    [await two.connect(), await two.connect(), await two.connect(), await two.connect()],
    ['ok', 'ok', 'ok', 'rejected'],
  )
})

test('a late answer that arrives twice gives back once', (t) => {
  mockTimers(t)
  const notes: unknown[] = []
  const remote = createRemoteLedger({ ask: () => undefined, note: (note) => notes.push(note) }, () => undefined)
  const counts = [{ limit: 'max_connections', key: 'k', max: 1 } as const]
  void remote.ledger.takeConnection({ counts, rates: [] })
  t.mock.timers.tick(500)
  for (let n = 0; n < 2; n++) remote.hear(0, { taken: undefined })
  assert.deepEqual(notes, [{ what: 'release', keys: ['k'] }])
})
