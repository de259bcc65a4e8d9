/** A connection over the limit. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { ListenerSettings } from '../../../src/config/settings.ts'
import type { Metrics } from '../../../src/metrics/metrics.ts'
import { SessionEvents } from '../../../src/session/events.ts'
import { subscribeLog } from '../../../src/session/session-log.ts'
import { subscribeMetrics } from '../../../src/session/session-metrics.ts'
import { createTurnAway } from '../../../src/session/turn-away.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'
import { keepLog } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

/** A port where each client is one too many. */
async function open(t: TestContext, changes: Partial<ListenerSettings>) {
  const { log, lines } = keepLog()
  const rejected: string[] = []
  const metrics = { connectionRejected: (reason: string) => void rejected.push(reason) } as unknown as Metrics
  const turnAway = createTurnAway(new SessionEvents([subscribeMetrics(metrics), subscribeLog(log)]))
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket.on('error', () => undefined))
    turnAway(socket, listenerSettings(changes), 7)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  return { port, lines, rejected, sockets }
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
  for (const tls of ['implicit', 'passthrough'] as const) {
    test(`is closed without a word by ${protocol} with tls: ${tls}`, async (t) => {
      const { port, rejected } = await open(t, { protocol, tls })
      assert.equal(await readAll(port), '')
      assert.deepEqual(rejected, ['too-many-connections'])
    })
  }
}

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
