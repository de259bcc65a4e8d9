/** PROXY LOCAL: a probe leaves no trace, a login leaves the same as every other. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import { SYSTEM_CLOCK } from '../../../src/login/clock.ts'
import type { Metrics } from '../../../src/metrics/metrics.ts'
import { SessionEvents } from '../../../src/session/events.ts'
import type { Services } from '../../../src/session/services.ts'
import { subscribeLog } from '../../../src/session/session-log.ts'
import { subscribeMetrics } from '../../../src/session/session-metrics.ts'
import { createSessions, type Sessions } from '../../../src/session/sessions.ts'
import type { World } from '../../../src/world.ts'
import { READ_DEADLINE_MS, until } from '../../support/deadline.ts'
import { ScriptedPeer } from '../../support/scripted-peer.ts'
import { keepLog, type LogLine } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'
import { named } from '../../support/user-name.ts'

/** PROXY v2, command LOCAL. */
const LOCAL = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')

type Setting = { peer: ScriptedPeer; sessions: Sessions; lines: LogLine[]; counted: () => number }

async function open(t: TestContext, protocol: 'imap' | 'pop3'): Promise<Setting> {
  const listener = listenerSettings({
    protocol,
    tls: 'none',
    allowPlaintextAuth: true,
    proxyProtocol: 'required',
    passthrough: [],
  })
  const { log, lines } = keepLog()
  let counted = 0
  const limits = {
    loginTimeoutMs: 60_000,
    backendTimeoutMs: 1000,
    failureDelayMs: 0,
    spreadDisconnectsMs: 0,
    maxLineBytes: 8192,
    maxBadCommands: 3,
    maxWrongPasswords: 5,
  }
  const world = {
    settings: { listeners: [listener], limits },
    listeners: new Map([
      [
        listener.name,
        {
          settings: listener,
          banner: () => 'ready',
          tls: undefined,
          trustedProxies: createIpSet(['127.0.0.1']),
          passthrough: new Map(),
        },
      ],
    ]),
    router: {
      identify: named,
      byUser: () => Promise.reject(new MuxError('directory-unavailable', 'away')),
    },
  } as unknown as World
  const metrics = {
    connectionAccepted: () => counted++,
    connectionRejected: () => undefined,
    connectionEnded: () => undefined,
    handshakeEnded: () => undefined,
    routeDecided: () => undefined,
    loginEnded: () => undefined,
  } as unknown as Metrics
  const offer = () => ({ mechanisms: ['PLAIN'], announced: [] })
  const events = new SessionEvents([subscribeMetrics(metrics), subscribeLog(log)])
  const logins = { clock: SYSTEM_CLOCK, events }
  const sessions = createSessions(() => world, {
    logins,
    events,
    offer,
    maxConnections: () => Infinity,
  } as unknown as Services)
  const server = createServer({ allowHalfOpen: true }, (socket) => sessions.accept(socket, listener.name))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.after(() => {
    socket.destroy()
    server.close()
  })
  const peer = new ScriptedPeer(socket, false)
  peer.sendRaw(LOCAL)
  await peer.expect(/OK/)
  return { peer, sessions, lines, counted: () => counted }
}

const LINES = {
  imap: { login: ['a LOGIN alice secret'], bye: 'b LOGOUT' },
  pop3: { login: ['USER alice', 'PASS secret'], bye: 'QUIT' },
} as const

for (const protocol of ['imap', 'pop3'] as const) {
  const { login, bye } = LINES[protocol]

  test(`a login behind PROXY LOCAL is counted, listed and logged as any other (${protocol})`, async (t) => {
    const { peer, sessions, lines, counted } = await open(t, protocol)
    assert.equal(counted(), 0)
    assert.equal(sessions.list({ limit: 10 }).total, 0)
    for (const line of login) peer.send(line)
    await peer.expectUntil(/UNAVAILABLE|SYS.TEMP/)
    assert.equal(counted(), 1)
    assert.deepEqual(
      sessions.list({ limit: 10 }).sessions.map(({ client, user }) => [client, user]),
      [['127.0.0.1', 'alice']],
    )
    peer.send(bye)
    await peer.readToEnd()
    const ended = await until(
      READ_DEADLINE_MS,
      () => lines.find(({ message }) => message === 'session ended'),
      () => 'no line',
    )
    assert.deepEqual([ended.client, ended.user, ended.cause], ['127.0.0.1', 'alice', 'logout'])
    assert.ok(lines.some(({ message }) => message === 'login refused'))
    assert.equal(counted(), 1)
  })

  test(`a probe behind PROXY LOCAL that tries no login is neither counted, listed nor logged (${protocol})`, async (t) => {
    const { peer, sessions, lines, counted } = await open(t, protocol)
    peer.send(protocol === 'imap' ? 'a CAPABILITY' : 'CAPA')
    await peer.expect(/CAPA/i)
    assert.equal(sessions.list({ limit: 10 }).total, 0)
    peer.send(bye)
    await peer.readToEnd()
    await sessions.drain(1000)
    assert.equal(counted(), 0)
    assert.deepEqual(lines, [])
  })
}
