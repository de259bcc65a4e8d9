/** At `max_connections`, of the instance or of one listener, a guess that is held back makes room for a client that has just connected. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { ListenerSettings, ProtocolName } from '../../../src/config/settings.ts'
import { createLedgerHost, type LedgerHost } from '../../../src/limits/ledger-host.ts'
import type { Ledger } from '../../../src/limits/ledger.ts'
import { buildListenerLimits } from '../../../src/limits/listener-limits.ts'
import { createLimits } from '../../../src/limits/limits.ts'
import { createLocalLedger } from '../../../src/limits/local-ledger.ts'
import { createRemoteLedger, type RemoteLedger } from '../../../src/limits/remote-ledger.ts'
import { SYSTEM_CLOCK, type LoginClock } from '../../../src/login/clock.ts'
import { createHeldBack } from '../../../src/login/held-back.ts'
import { createDecoyChallenge } from '../../../src/protocol/decoy-challenge.ts'
import { SessionEvents, type SessionEvent } from '../../../src/session/events.ts'
import type { Services } from '../../../src/session/services.ts'
import { createSessions } from '../../../src/session/sessions.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import type { World } from '../../../src/world.ts'
import { READ_DEADLINE_MS, until } from '../../support/deadline.ts'
import { named } from '../../support/user-name.ts'
import { clientLimits, listenerSettings } from '../listener/listener-settings.ts'

/** One process: a port for each listener. No user exists, so that each login is a guess. Its refusal is held back until the end of the test. */
async function openWorker(t: TestContext, listeners: readonly ListenerSettings[], ledger: Ledger, max = Infinity) {
  const limits = createLimits({ ledger })
  const happened: SessionEvent[] = []
  const waits = new Set<() => void>()
  const clock: LoginClock = {
    nowMs: () => SYSTEM_CLOCK.nowMs(),
    after(_ms, run) {
      waits.add(run)
      return { [Symbol.dispose]: () => void waits.delete(run) }
    },
  }
  const world = {
    settings: {
      listeners,
      limits: {
        loginTimeoutMs: 60_000,
        failureDelayMs: 1000,
        spreadDisconnectsMs: 0,
        maxLineBytes: 8192,
        maxBadCommands: 3,
        maxWrongPasswords: 5,
      },
    },
    router: {
      identify: (name: string) => named(name),
      loginsOf: () => [],
      byUser: () => Promise.resolve({ kind: 'unknown' }),
      invalidate: () => undefined,
    },
    backends: new Map(),
    decoyChallenge: createDecoyChallenge('secret'),
    listeners: new Map(
      listeners.map((settings) => [
        settings.name,
        {
          settings,
          banner: () => 'ready',
          tls: undefined,
          trustedProxies: createIpSet(['127.0.0.1']),
          passthrough: new Map(),
          limits: buildListenerLimits(settings.limits),
        },
      ]),
    ),
  } as unknown as World
  const events = new SessionEvents([(event) => void happened.push(event)])
  const sessions = createSessions(() => world, {
    logins: {
      clock,
      events,
      limits,
      heldBack: createHeldBack(),
      pace: { observe: () => undefined, dueMs: (ms: number) => ms },
    },
    events,
    limits,
    offer: () => ({ mechanisms: ['PLAIN'], announced: [] }),
    maxConnections: () => max,
  } as unknown as Services)
  const ports = new Map<string, number>()
  for (const { name } of listeners) {
    const server = createServer({ allowHalfOpen: true }, (socket) => sessions.accept(socket, name))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ports.set(name, (server.address() as AddressInfo).port)
    t.after(() => server.close())
  }
  t.after(() => {
    for (const run of waits) run() // a refusal is held back also after its client has left
    return sessions.drain(0)
  })
  const count = (type: SessionEvent['type']): number => happened.filter((event) => event.type === type).length
  return {
    count,
    connect: (listener: string) => openClient(t, ports.get(listener)!),
    /** A client whose wrong password is held back. */
    guess: async (listener: string) => {
      const client = openClient(t, ports.get(listener)!)
      const { protocol, proxyProtocol } = listeners.find(({ name }) => name === listener)!
      if (proxyProtocol === 'required') client.say(HEADER)
      await client.hears(GREETINGS[protocol])
      const before = count('login-refused')
      client.say(GUESSES[protocol])
      await until(
        READ_DEADLINE_MS,
        () => count('login-refused') > before || undefined,
        () => 'no login is refused',
      )
      return client
    },
  }
}

const HEADER = 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 143'

function openClient(t: TestContext, port: number) {
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.on('error', () => undefined)
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  return {
    say: (line: string) => void socket.write(`${line}\r\n`),
    hears: (wanted: RegExp) =>
      until(
        READ_DEADLINE_MS,
        () => wanted.exec(text)?.[0],
        () => `no ${wanted} in ${text}`,
      ),
  }
}

const PLAIN = Buffer.from('\0alice\0wrong').toString('base64')
const GUESSES: Record<ProtocolName, string> = {
  imap: 'a LOGIN alice wrong',
  pop3: `AUTH PLAIN ${PLAIN}`,
  managesieve: `AUTHENTICATE "PLAIN" "${PLAIN}"`,
}
const GREETINGS: Record<ProtocolName, RegExp> = { imap: /^\* OK /, pop3: /^\+OK /, managesieve: /^OK/m }
const GOODBYES: Record<ProtocolName, RegExp> = {
  imap: /^\* BYE \[UNAVAILABLE\] Too many connections/m,
  pop3: /^-ERR \[SYS\/TEMP\] Too many connections/m,
  managesieve: /^BYE .*Too many connections/m,
}
const ONE = clientLimits({ maxConnections: 1 })

/** The ledger of a process beside others, whose answers come later. */
function joinLedger(host: LedgerHost): Ledger {
  const member = host.join()
  const remote: RemoteLedger = createRemoteLedger(
    {
      ask: (id, asked) => void member.ask(structuredClone(asked)).then((reply) => remote.hear(id, reply)),
      note: (note) => member.note(structuredClone(note)),
    },
    () => undefined,
  )
  return remote.ledger
}

for (const protocol of ['imap', 'pop3', 'managesieve'] as const) {
  const listener = listenerSettings({ protocol, name: protocol, allowPlaintextAuth: true })

  test(`${protocol}: at max_connections the oldest guess ends with a goodbye`, async (t) => {
    const { guess, connect, count } = await openWorker(t, [listener], createLocalLedger(), 2)
    const [first] = [await guess(protocol), await guess(protocol)]
    await connect(protocol).hears(GREETINGS[protocol])
    await first.hears(GOODBYES[protocol])
    assert.deepEqual([count('room-made'), count('turned-away')], [1, 0])
  })

  for (const isRemote of [false, true])
    for (const proxyProtocol of ['off', 'required'] as const) {
      const where = isRemote ? ', where another process counts' : ''
      test(`${protocol}: at max_connections of a listener its oldest guess ends with a goodbye (proxy_protocol: ${proxyProtocol}${where})`, async (t) => {
        const local = createLocalLedger()
        const ledger = isRemote ? joinLedger(createLedgerHost(local)) : local
        const other = listenerSettings({ ...listener, name: 'other', limits: ONE })
        const limited = listenerSettings({ ...listener, proxyProtocol, limits: ONE })
        const { guess, connect, count } = await openWorker(t, [other, limited], ledger)
        await guess('other')
        const guesser = await guess(protocol)
        const client = connect(protocol)
        if (proxyProtocol === 'required') client.say(HEADER)
        await client.hears(GREETINGS[protocol])
        await guesser.hears(GOODBYES[protocol])
        assert.deepEqual([count('room-made'), count('rejected')], [1, 0])
        // A client before its login makes no room.
        const next = connect(protocol)
        if (proxyProtocol === 'required') next.say(HEADER)
        await next.hears(GOODBYES[protocol])
        assert.deepEqual([count('room-made'), count('rejected')], [1, 1])
        assert.equal([...local.keys()].length, 2)
      })
    }
}

test('with two workers each makes room by ending a guess of its own', async (t) => {
  const local = createLocalLedger()
  const host = createLedgerHost(local)
  const listener = listenerSettings({
    name: 'imap',
    allowPlaintextAuth: true,
    limits: clientLimits({ maxConnections: 2 }),
  })
  const workers = [
    await openWorker(t, [listener], joinLedger(host)),
    await openWorker(t, [listener], joinLedger(host)),
  ] as const
  const guessers = [await workers[0].guess('imap'), await workers[1].guess('imap')] as const
  for (const [n, worker] of workers.entries()) {
    await worker.connect('imap').hears(GREETINGS.imap)
    await guessers[n]!.hears(GOODBYES.imap)
    assert.deepEqual([worker.count('room-made'), worker.count('rejected')], [1, 0])
  }
  assert.equal(local.count([...local.keys()][0]!), 2)
})
