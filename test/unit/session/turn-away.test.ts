/** A connection over the limit of all, and one that a limit of its listener rejects. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { test, type TestContext } from 'node:test'
import type { ListenerSettings } from '../../../src/config/settings.ts'
import type { Metrics } from '../../../src/metrics/metrics.ts'
import { SessionEvents } from '../../../src/session/events.ts'
import { subscribeLog } from '../../../src/session/session-log.ts'
import { subscribeMetrics } from '../../../src/session/session-metrics.ts'
import type { Rejection } from '../../../src/limits/rejection.ts'
import { createTurnAway } from '../../../src/session/turn-away.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'
import { keepLog } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

const DENIED: Rejection = { limit: 'deny', kind: 'denied', detail: 'in a network of deny' }

/** A port where each client is one too many, or is rejected. */
async function open(t: TestContext, changes: Partial<ListenerSettings>, rejection?: Rejection) {
  const { log, lines } = keepLog()
  const rejected: string[] = []
  const hit: string[] = []
  const metrics = {
    connectionRejected: (reason: string) => void rejected.push(reason),
    limitHit: (limit: string) => void hit.push(limit),
  } as unknown as Metrics
  const turnAway = createTurnAway(new SessionEvents([subscribeMetrics(metrics), subscribeLog(log)]))
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket.on('error', () => undefined))
    if (rejection) turnAway.rejected(socket, listenerSettings(changes), '192.0.2.7', rejection)
    else turnAway.full(socket, listenerSettings(changes), 7)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  return { port, lines, rejected, sockets, hit }
}

/** @returns all that a client reads until the end, which comes by itself */
async function readAll(port: number, says = ''): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(says)
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  await once(socket, 'close')
  return text
}

for (const [protocol, expected] of [
  ['imap', '* BYE [UNAVAILABLE] Too many connections, please try again later.\r\n'],
  ['pop3', '-ERR [SYS/TEMP] Too many connections, please try again later.\r\n'],
] as const) {
  for (const tls of ['none', 'starttls'] as const) {
    test(`a client over the limit gets the ${protocol} refusal with tls: ${tls}, whatever it has sent already`, async (t) => {
      const { port, rejected } = await open(t, { protocol, tls })
      assert.equal(await readAll(port), expected)
      assert.equal(await readAll(port, 'a1 CAPABILITY\r\n'.repeat(1000)), expected)
      assert.deepEqual(rejected, ['too-many-connections', 'too-many-connections'])
    })
  }
  // RFC 8446 6.2: internal_error is 80, access_denied is 49.
  for (const tls of ['implicit', 'passthrough'] as const) {
    test(`a client over the limit gets a TLS alert from ${protocol} with tls: ${tls}`, async (t) => {
      const { port, rejected } = await open(t, { protocol, tls })
      assert.equal(await readAll(port), '\x15\x03\x03\x00\x02\x02\x50')
      assert.deepEqual(rejected, ['too-many-connections'])
    })

    test(`a client whose address is denied gets a TLS alert from ${protocol} with tls: ${tls}`, async (t) => {
      const { port, rejected } = await open(t, { protocol, tls }, DENIED)
      assert.equal(await readAll(port), '\x15\x03\x03\x00\x02\x02\x31')
      assert.deepEqual(rejected, ['client-denied'])
    })
  }
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
  test(`a ${version} client reads the alert as access denied`, async (t) => {
    const { port } = await open(t, { tls: 'implicit' }, DENIED)
    const client = connectTls({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
    })
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED')
    client.destroy()
  })

for (const [protocol, expected] of [
  ['imap', '* BYE [CONTACTADMIN] Connections from this address are not accepted.\r\n'],
  ['pop3', '-ERR [SYS/PERM] Connections from this address are not accepted.\r\n'],
  ['managesieve', 'BYE "Connections from this address are not accepted."\r\n'],
] as const)
  test(`a client whose address is denied gets the ${protocol} refusal in place of a greeting`, async (t) => {
    const { port, rejected, hit, lines } = await open(t, { protocol, tls: 'starttls' }, DENIED)
    assert.equal(await readAll(port), expected)
    assert.equal(await readAll(port, 'a1 CAPABILITY\r\n'.repeat(1000)), expected)
    assert.deepEqual(
      [rejected, hit],
      [
        ['client-denied', 'client-denied'],
        ['deny', 'deny'],
      ],
    )
    assert.deepEqual(lines, [
      {
        level: 'warn',
        message: 'connection rejected',
        listener: 'imap',
        client: '192.0.2.7',
        limit: 'deny',
        detail: 'in a network of deny',
      },
    ])
  })

test('a client gets its line also while as many clients linger as may', async (t) => {
  const { port, sockets } = await open(t, {})
  const lingering = Array.from({ length: 32 }, () => connect({ port, host: '127.0.0.1', allowHalfOpen: true }))
  t.after(() => lingering.forEach((client) => client.destroy()))
  for (const client of lingering) client.on('error', () => undefined).pause()
  await until(
    START_DEADLINE_MS,
    () => sockets.length === 32 || undefined,
    () => `${sockets.length} are accepted`,
  )
  assert.match(await readAll(port), /^\* BYE \[UNAVAILABLE\] Too many connections/)
})

test('is destroyed where the client neither reads nor closes, and only a few wait for that', async (t) => {
  const { port, sockets, lines, rejected } = await open(t, {})
  const clients = Array.from({ length: 40 }, () => connect({ port, host: '127.0.0.1', allowHalfOpen: true }))
  t.after(() => clients.forEach((client) => client.destroy()))
  for (const client of clients) client.on('error', () => undefined).pause()
  await until(
    START_DEADLINE_MS,
    () => (sockets.length === 40 && sockets.every(({ destroyed }) => destroyed)) || undefined,
    () => `${sockets.filter(({ destroyed }) => !destroyed).length} of ${sockets.length} are still open`,
  )
  assert.equal(rejected.length, 40)
  assert.deepEqual(lines, [{ level: 'warn', message: 'too many connections', listener: 'imap', maxConnections: 7 }])
})
