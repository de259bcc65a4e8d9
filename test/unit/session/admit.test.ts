/** Limits are asked before TLS, with the address of the client: the socket's, or the one of a PROXY header. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { ListenerSettings, ProtocolName } from '../../../src/config/settings.ts'
import { buildListenerLimits } from '../../../src/limits/listener-limits.ts'
import type { ConnectionFacts } from '../../../src/limits/facts.ts'
import { createLimits, type Limits } from '../../../src/limits/limits.ts'
import { SYSTEM_CLOCK } from '../../../src/login/clock.ts'
import type { Metrics } from '../../../src/metrics/metrics.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import { SessionEvents } from '../../../src/session/events.ts'
import type { Services } from '../../../src/session/services.ts'
import { subscribeLog } from '../../../src/session/session-log.ts'
import { subscribeMetrics } from '../../../src/session/session-metrics.ts'
import { createSessions } from '../../../src/session/sessions.ts'
import type { World } from '../../../src/world.ts'
import { READ_DEADLINE_MS, until } from '../../support/deadline.ts'
import { keepLog } from '../backend/fixture.ts'
import { clientLimits, listenerSettings } from '../listener/listener-settings.ts'

/** A port whose clients reach a listener of these settings. */
async function open(
  t: TestContext,
  changes: Partial<ListenerSettings>,
  limits: Limits = createLimits(),
  maxConnections = Infinity,
) {
  const settings = listenerSettings({ allowPlaintextAuth: true, ...changes })
  const { log, lines } = keepLog()
  const counted: string[] = []
  const world = {
    settings: {
      listeners: [settings],
      limits: {
        loginTimeoutMs: 60_000,
        spreadDisconnectsMs: 0,
        maxLineBytes: 8192,
        maxBadCommands: 3,
        maxWrongPasswords: 5,
      },
    },
    listeners: new Map([
      [
        settings.name,
        {
          settings,
          banner: () => 'ready',
          tls: undefined,
          trustedProxies: createIpSet(['127.0.0.1']),
          passthrough: new Map(),
          limits: buildListenerLimits(settings.limits),
        },
      ],
    ]),
  } as unknown as World
  const count = (what: string) => (): void => void counted.push(what)
  const metrics = {
    connectionAccepted: count('accepted'),
    connectionRejected: (reason: string) => void counted.push(reason),
    connectionEnded: count('ended'),
    limitHit: (limit: string) => void counted.push(`limit ${limit}`),
  } as unknown as Metrics
  const events = new SessionEvents([subscribeMetrics(metrics), subscribeLog(log)])
  const sessions = createSessions(() => world, {
    logins: { clock: SYSTEM_CLOCK, events, heldBack: { endOldest: () => false } },
    events,
    limits,
    offer: () => ({ mechanisms: ['PLAIN'], announced: [] }),
    maxConnections: () => maxConnections,
  } as unknown as Services)
  const server = createServer({ allowHalfOpen: true }, (socket) => sessions.accept(socket, settings.name))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    server.close()
    await sessions.drain(0)
  })
  return { port: (server.address() as AddressInfo).port, lines, counted, sessions }
}

/** @returns what a client reads that sends `says` and then waits for the first line or the end */
async function greet(port: number, says: string | Buffer = ''): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(says)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    if (text.includes('\n')) socket.end()
  })
  await once(socket, 'close')
  return text
}

const denyAll = clientLimits({ access: { allow: undefined, deny: ['127.0.0.0/8', '192.0.2.0/24'] } })
const GREETINGS: Record<ProtocolName, RegExp> = { imap: /^\* OK /, pop3: /^\+OK /, managesieve: /^"IMPLEMENTATION"/ }
const REJECTIONS: Record<ProtocolName, RegExp> = {
  imap: /^\* BYE \[CONTACTADMIN\] /,
  pop3: /^-ERR \[SYS\/PERM\] /,
  managesieve: /^BYE "/,
}

for (const protocol of ['imap', 'pop3', 'managesieve'] as const) {
  test(`${protocol}: an address of deny gets a refusal in place of the greeting, and is no session`, async (t) => {
    const { port, counted, sessions, lines } = await open(t, { protocol, limits: denyAll })
    assert.match(await greet(port), REJECTIONS[protocol])
    assert.equal(sessions.count(), 0)
    assert.deepEqual(counted, ['client-denied', 'limit deny'])
    assert.deepEqual(
      lines.map(({ message, client }) => [message, client]),
      [['connection rejected', '127.0.0.1']],
    )
  })

  test(`${protocol}: an address that deny does not have gets the greeting`, async (t) => {
    const limits = clientLimits({ access: { allow: ['127.0.0.1/32'], deny: ['127.0.0.2/32'] } })
    const { port, counted } = await open(t, { protocol, limits })
    assert.match(await greet(port), GREETINGS[protocol])
    assert.equal(counted[0], 'accepted')
  })

  test(`${protocol}: behind a proxy the address of the PROXY header counts`, async (t) => {
    const limits = clientLimits({ access: { allow: undefined, deny: ['192.0.2.0/24'] } })
    const { port, counted, sessions, lines } = await open(t, { protocol, limits, proxyProtocol: 'required' })
    assert.match(await greet(port, 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 143\r\n'), REJECTIONS[protocol])
    await until(
      READ_DEADLINE_MS,
      () => sessions.count() === 0 || undefined,
      () => 'the session is still listed',
    )
    assert.deepEqual(counted, ['client-denied', 'limit deny'])
    assert.deepEqual(
      lines.map(({ message, client }) => [message, client]),
      [['connection rejected', '192.0.2.7']],
    )
    assert.match(await greet(port, 'PROXY TCP4 192.0.3.7 198.51.100.1 4711 143\r\n'), GREETINGS[protocol])
  })
}

test('behind a proxy with implicit TLS a rejected client gets an alert', async (t) => {
  const { port } = await open(t, { tls: 'implicit', limits: denyAll, proxyProtocol: 'required' })
  const socket = connect(port, '127.0.0.1')
  socket.write('PROXY TCP4 192.0.2.7 198.51.100.1 4711 993\r\n')
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  assert.equal(chunk.toString('hex'), '15030300020231')
  socket.destroy()
})

test('the address of a load balancer is not limited, and its probe gets the greeting', async (t) => {
  const { port } = await open(t, { limits: denyAll, proxyProtocol: 'required' })
  assert.match(await greet(port, Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')), /^\* OK /)
})

/** Limits whose answer about a connection is decided by the test. */
function answering(answer: Limits['admitConnection']): Limits & { asked: ConnectionFacts[] } {
  const asked: ConnectionFacts[] = []
  return {
    ...createLimits(),
    asked,
    admitConnection(facts) {
      asked.push(facts)
      return answer(facts)
    },
  }
}

for (const proxyProtocol of ['off', 'required'] as const) {
  const header = proxyProtocol === 'off' ? '' : 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 143\r\n'

  test(`an answer may come later, and what is held is released when the connection ends (proxy_protocol: ${proxyProtocol})`, async (t) => {
    let released = 0
    const answer = Promise.withResolvers<{ release(): void }>()
    const limits = answering(() => answer.promise)
    const { port, sessions } = await open(t, { proxyProtocol }, limits)
    const greeting = greet(port, header)
    await until(
      READ_DEADLINE_MS,
      () => limits.asked.length === 1 || undefined,
      () => 'no limit was asked',
    )
    answer.resolve({ release: () => released++ })
    assert.match(await greeting, /^\* OK /)
    await until(
      READ_DEADLINE_MS,
      () => sessions.count() === 0 || undefined,
      () => 'the session is still listed',
    )
    assert.equal(released, 1)
    assert.deepEqual(
      limits.asked.map(({ protocol, listener, address }) => [protocol, listener, address]),
      [['imap', 'imap', proxyProtocol === 'off' ? '127.0.0.1' : '192.0.2.7']],
    )
  })

  test(`a rejection that comes later is told too (proxy_protocol: ${proxyProtocol})`, async (t) => {
    const limits = answering(() => Promise.resolve({ limit: 'max_connections', kind: 'too-many', detail: '10 of 10' }))
    const { port } = await open(t, { proxyProtocol }, limits)
    assert.equal(await greet(port, header), '* BYE [UNAVAILABLE] Too many connections, please try again later.\r\n')
  })
}

test('what is held is released for a client that has left while the limits were asked', async (t) => {
  const released = Promise.withResolvers<undefined>()
  const answer = Promise.withResolvers<{ release(): void }>()
  const limits = answering(() => answer.promise)
  const { port, sessions } = await open(t, {}, limits)
  const socket = connect(port, '127.0.0.1')
  await until(
    READ_DEADLINE_MS,
    () => limits.asked.length === 1 || undefined,
    () => 'no limit was asked',
  )
  socket.resetAndDestroy()
  answer.resolve({ release: () => released.resolve(undefined) })
  await released.promise
  await until(
    READ_DEADLINE_MS,
    () => sessions.count() === 0 || undefined,
    () => 'a session is left',
  )
})

test('a guard rejects a client of a listener without limits', async (t) => {
  const limits = createLimits({
    guards: [
      {
        ofConnection: ({ address }) =>
          address === '127.0.0.1' ? { limit: 'block', kind: 'denied', detail: 'blocked' } : undefined,
      },
    ],
  })
  const { port, counted } = await open(t, {}, limits)
  assert.match(await greet(port), REJECTIONS.imap)
  assert.deepEqual(counted, ['client-denied', 'limit block'])
})

test('clients for whom the limits are being asked count as connections', async (t) => {
  const answer = Promise.withResolvers<undefined>()
  const limits = answering(() => answer.promise)
  const { port, sessions } = await open(t, {}, limits, 2)
  const waiting = [greet(port), greet(port)]
  await until(
    READ_DEADLINE_MS,
    () => limits.asked.length === 2 || undefined,
    () => 'no limit was asked',
  )
  assert.match(await greet(port), /^\* BYE \[UNAVAILABLE\] Too many connections/)
  answer.resolve(undefined)
  for (const greeting of await Promise.all(waiting)) assert.match(greeting, /^\* OK /)
  await until(
    READ_DEADLINE_MS,
    () => sessions.count() === 0 || undefined,
    () => 'a session is still listed',
  )
  assert.match(await greet(port), /^\* OK /)
})
