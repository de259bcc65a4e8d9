/** The list of sessions: the oldest first, what is asked for, and no more than is wanted. */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { ClientConnection } from '../../../src/client/connection.ts'
import { Slot } from '../../../src/backend/admission/slot.ts'
import type { RelayHandle } from '../../../src/relay/relays.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import type { Phase } from '../../../src/login/login.ts'
import { SessionEvents } from '../../../src/session/events.ts'
import { chooseShare } from '../../../src/session/rebalance.ts'
import { Session } from '../../../src/session/session.ts'
import { endSessions, listSessions } from '../../../src/session/sessions.ts'
import type { World } from '../../../src/world.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

type Changes = {
  phase?: Phase
  user?: string | undefined
  backend?: string | undefined
  tlsVersion?: string | undefined
  isHealthCheck?: boolean
  listener?: string
  client?: { address: string; port: number }
}

/** A session that was accepted at `bornMs`, and one second later looks like this. */
function running(t: TestContext, id: string, bornMs: number, changes: Changes = {}): Session {
  const context = {
    settings: listenerSettings({ name: changes.listener ?? 'imaps' }),
    banner: () => '',
    tls: undefined,
    trustedProxies: createIpSet([]),
    passthrough: new Map<string, string>(),
  }
  const clock = t.mock.method(performance, 'now', () => bornMs)
  const connection = new ClientConnection(new Socket(), context, () => undefined)
  const session = new Session(id, connection, context, {} as World, new SessionEvents([]))
  clock.mock.restore()
  const {
    phase,
    user,
    backend,
    listener: _,
    ...rest
  } = {
    phase: 'relaying' as const,
    user: 'alice@example.test',
    backend: 'store1',
    tlsVersion: 'TLSv1.3',
    ...changes,
  }
  Object.assign(connection, { client: { address: '192.0.2.7', port: 4711 }, ...rest })
  session.phase = phase
  if (user !== undefined) Object.assign(session.startLogin(), { user: user, backend })
  t.after(() => session.close(() => undefined))
  return session
}

const ALL = { limit: 10 }

test('counts the sessions that have no connection to a back end', (t) => {
  const waiting = running(t, 'a', 500, { phase: 'waiting' })
  const refused = running(t, 'b', 500, { phase: 'login' })
  const lastAttempt = running(t, 'c', 500, { phase: 'waiting' })
  const challenged = running(t, 'd', 500, { phase: 'waiting' })
  const slot = (): Slot =>
    new Slot({ giveBack: () => undefined, pause: () => undefined, resume: (own) => Promise.resolve(own) }, undefined)
  lastAttempt.login!.slot = slot()
  lastAttempt.login!.slot.release()
  challenged.login!.slot = slot()
  challenged.login!.slot.pause()
  const connecting = running(t, 'e', 500, { phase: 'connecting' })
  const { total, unconnected } = listSessions(
    [waiting, refused, lastAttempt, challenged, connecting, running(t, 'f', 500)],
    ALL,
  )
  assert.deepEqual({ total, unconnected }, { total: 6, unconnected: 3 })
})

test('lists a session with the facts that it has so far', (t) => {
  const early = running(t, 'b', 2000, { phase: 'login', user: undefined, backend: undefined, tlsVersion: undefined })
  const all = [running(t, 'a', 500), early]
  t.mock.method(performance, 'now', () => 3250)
  assert.deepEqual(listSessions(all, ALL), {
    sessions: [
      {
        id: 'a',
        client: '192.0.2.7',
        listener: 'imaps',
        protocol: 'imap',
        phase: 'relaying',
        user: 'alice@example.test',
        backend: 'store1',
        tls: 'TLSv1.3',
        ageSeconds: 2.75,
      },
      { id: 'b', client: '192.0.2.7', listener: 'imaps', protocol: 'imap', phase: 'login', ageSeconds: 1.25 },
    ],
    total: 2,
    unconnected: 1,
  })
})

test('finds those of a user or a back end, and counts all of them where not all are listed', (t) => {
  const all = [
    running(t, 'a', 1),
    running(t, 'b', 2, { user: 'bob@example.test' }),
    running(t, 'c', 3, { backend: 'store2' }),
    running(t, 'd', 4),
    running(t, 'probe', 5, { isHealthCheck: true }),
  ]
  const ids = (filter: Parameters<typeof listSessions>[1]) => {
    const { sessions, total } = listSessions(all, filter)
    return [sessions.map(({ id }) => id).join(''), total]
  }
  assert.deepEqual(ids(ALL), ['abcd', 4])
  assert.deepEqual(ids({ ...ALL, user: 'alice@example.test' }), ['acd', 3])
  assert.deepEqual(ids({ ...ALL, backend: 'store1' }), ['abd', 3])
  assert.deepEqual(ids({ user: 'alice@example.test', backend: 'store1', limit: 1 }), ['a', 2])
  assert.deepEqual(ids({ limit: 0 }), ['', 4])
})

/** A relay that notes how it is ended. */
function relay(ended: string[]): RelayHandle {
  return {
    progress: { changeWatch: () => false },
    ended: new Promise(() => undefined),
    endWhenSafe: (why) => void ended.push(`${why} when safe`),
    end: (cause) => void ended.push(cause),
    isResting: () => true,
    silentMs: 61_400,
    counts: { bytesFromClient: 0, bytesFromBackend: 0 },
  }
}

test('finds those of a client, of a network and of a listener, before and after login', (t) => {
  const at = (address: string) => ({ client: { address, port: 4711 } })
  const early = { phase: 'login', user: undefined, backend: undefined } as const
  const all = [
    running(t, 'a', 1, at('192.0.2.7')),
    running(t, 'b', 2, { ...early, ...at('192.0.2.8') }),
    running(t, 'c', 3, { ...early, ...at('2001:db8::7'), listener: 'pop3' }),
    running(t, 'd', 4, { ...at('198.51.100.1'), listener: 'pop3' }),
    running(t, 'probe', 5, { ...at('192.0.2.7'), isHealthCheck: true }),
  ]
  const ids = (filter: Omit<Parameters<typeof listSessions>[1], 'limit'>) =>
    listSessions(all, { ...filter, limit: 9 })
      .sessions.map(({ id }) => id)
      .join('')
  assert.equal(ids({ client: '192.0.2.7' }), 'a')
  assert.equal(ids({ client: '::ffff:192.0.2.8' }), 'b')
  assert.equal(ids({ client: '192.0.2.0/24' }), 'ab')
  assert.equal(ids({ client: '0.0.0.0/0' }), 'abd')
  assert.equal(ids({ client: '2001:DB8:0::/48' }), 'c')
  assert.equal(ids({ client: '::/0' }), 'c')
  assert.equal(ids({ listener: 'pop3' }), 'cd')
  assert.equal(ids({ listener: 'pop3', client: '198.51.100.0/24', user: 'alice@example.test' }), 'd')
  assert.equal(ids({ listener: 'pop' }), '')
  assert.throws(() => ids({ client: 'example.test' }), RangeError)
})

test('lists for how long a relaying session has been silent', (t) => {
  const [relaying, early] = [running(t, 'a', 1), running(t, 'b', 2, { phase: 'login' })]
  relaying.startRelay(relay([]))
  assert.deepEqual(
    listSessions([relaying, early], ALL).sessions.map(({ idleSeconds }) => idleSeconds),
    [61, undefined],
  )
})

test('ends the sessions that a filter matches: those that relay at a safe point, the others at their next read', async (t) => {
  const ended: string[] = []
  const other: string[] = []
  const [relaying, early, bob] = [
    running(t, 'a', 1),
    running(t, 'b', 2, { phase: 'routing' }),
    running(t, 'c', 3, { user: 'bob@example.test' }),
  ]
  relaying.startRelay(relay(ended))
  bob.startRelay(relay(other))
  const read = early.connection.readLine(100)
  assert.equal(endSessions([relaying, early, bob], { user: 'alice@example.test' }, 'shutdown'), 2)
  assert.deepEqual([ended, other], [['shutdown when safe'], []])
  await assert.rejects(read, { code: 'shutting-down' })
})

test('ends a session at a safe point if end was called during its login', (t) => {
  const ended: string[] = []
  const session = running(t, 'a', 1, { phase: 'replaying-login' })
  session.end('shutdown')
  session.startRelay(relay(ended))
  assert.deepEqual(ended, ['shutdown when safe'])
})

test('passes the time in which a session must end to its relay, also to one that begins later', (t) => {
  const times: [string, number | undefined][] = []
  const handle = { ...relay([]), endWhenSafe: (why: string, withinMs?: number) => void times.push([why, withinMs]) }
  const [relaying, early] = [running(t, 'a', 1), running(t, 'b', 2, { phase: 'replaying-login' })]
  relaying.startRelay(handle)
  endSessions([relaying, early], {}, 'drained', 60_000)
  early.startRelay(handle)
  assert.deepEqual(times, [
    ['drained', 60_000],
    ['drained', 60_000],
  ])
})

test('a session that is ended before its login gets the error of the reason', async (t) => {
  for (const [why, code] of [
    ['shutdown', 'shutting-down'],
    ['moved', 'moved'],
    ['drained', 'drained'],
    ['rebalanced', 'rebalanced'],
    ['kicked', 'kicked'],
    ['disabled', 'disabled'],
  ] as const) {
    const session = running(t, why, 1, { phase: 'login' })
    const read = session.connection.readLine(100)
    session.end(why, 60_000)
    await assert.rejects(read, { code })
  }
})

test('cuts a login under way that is to end now, and says why', (t) => {
  for (const phase of ['routing', 'waiting', 'connecting', 'replaying-login'] as const) {
    const session = running(t, phase, 1, { phase })
    session.end('kicked', 60_000)
    assert.deepEqual([session.connection.isGone, session.cutError], [false, undefined], phase)
    session.end('kicked', 0)
    assert.deepEqual([session.connection.isGone, session.cutError?.code], [true, 'kicked'], phase)
  }
})

test('gives a session before its login the goodbye, also when it is to end now', async (t) => {
  const session = running(t, 'a', 1, { phase: 'login' })
  const read = session.connection.readLine(100)
  session.end('kicked', 0)
  await assert.rejects(read, { code: 'kicked' })
  assert.equal(session.connection.isGone, false)
})

test('chooses a share of the sessions that relay for a rebalance, the same each time', (t) => {
  const all = Array.from({ length: 500 }, (_, index) => {
    const session = running(t, `0badcafe-${index.toString(36)}`, 1, { backend: index % 2 === 0 ? 'store1' : 'store2' })
    session.startRelay(relay([]))
    return session
  })
  const early = running(t, 'early', 1, { phase: 'replaying-login' })
  const chosen = (share: number, filter = {}): Set<string> =>
    new Set(chooseShare([...all, early], filter, share).map(({ id }) => id))
  const fifth = chosen(0.2)
  assert.ok(fifth.size > 60 && fifth.size < 140, String(fifth.size))
  assert.deepEqual(chosen(0.2), fifth)
  const within = (few: Set<string>, many: Set<string>): boolean => [...few].every((id) => many.has(id))
  assert.ok(within(fifth, chosen(0.4)))
  assert.equal(chosen(1).size, 500)
  const ofStore = chosen(0.2, { backend: 'store1' })
  assert.ok(within(ofStore, fifth) && ofStore.size > 20 && ofStore.size < 80, String(ofStore.size))
})
