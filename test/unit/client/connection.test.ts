/** A client's connection without TLS: its ends, its life and its end, and the deadline of the PROXY header in front of it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { describe, test, type TestContext } from 'node:test'
import { ClientConnection } from '../../../src/client/connection.ts'
import { MuxError } from '../../../src/errors.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import { buildProxyHeader } from '../../../src/net/proxy-header.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'
import { listenerSettings } from '../listener/listener-settings.ts'
import { arrive } from './fixture.ts'

const soon = <T>(promise: Promise<T>, what: string): Promise<T> => within(READ_DEADLINE_MS, promise, () => what)

test('has the addresses of both ends of its connection, and no PROXY header without one', async (t) => {
  const { client, accepted, conn } = await arrive(t)
  if (client.connecting) await once(client, 'connect')
  assert.deepEqual(conn.client, { address: '127.0.0.1', port: client.localPort })
  assert.deepEqual(conn.local, { address: '127.0.0.1', port: client.remotePort })
  assert.equal(conn.socket, accepted)
  assert.deepEqual([conn.hasProxyHeader, conn.isHealthCheck, conn.secure], [false, false, false])
})

test('names the ends of a socket that has already gone as unknown', (t) => {
  const context = {
    settings: listenerSettings(),
    banner: () => '',
    tls: undefined,
    trustedProxies: createIpSet([]),
    passthrough: new Map<string, string>(),
  }
  const conn = new ClientConnection(new Socket(), context, () => undefined)
  t.after(() => conn.destroy())
  assert.deepEqual(conn.client, { address: 'unknown', port: 0 })
  assert.deepEqual(conn.local, { address: 'unknown', port: 0 })
})

test('reports a client that closes as such', async (t) => {
  const { client, conn } = await arrive(t)
  const line = conn.readLine(100)
  client.end()
  await assert.rejects(soon(line, 'no end'), { code: 'client-closed' })
})

test('is gone once it is destroyed, at once', async (t) => {
  const { client, conn } = await arrive(t)
  assert.equal(conn.isGone, false)
  conn.destroy()
  assert.equal(conn.isGone, true)
  client.resume()
  await soon(once(client, 'close'), 'still open')
})

describe('a goodbye', () => {
  /** More than the kernel buffers of both ends hold. */
  const GOODBYE = 'x'.repeat(16 * 1024 * 1024)

  test('reaches the client although the login fails meanwhile', async (t) => {
    const { client, conn } = await arrive(t)
    conn.write(GOODBYE)
    const closed = Promise.withResolvers<undefined>()
    conn.close(() => closed.resolve(undefined))
    conn.fail(new MuxError('client-closed', 'too late'))
    let received = 0
    client.on('data', (chunk: Buffer) => (received += chunk.length))
    await soon(once(client, 'end'), 'no end')
    assert.equal(received, GOODBYE.length)
    client.end()
    await soon(closed.promise, 'not closed')
  })

  test('is the last that is written, and nothing is read after it', async (t) => {
    const { client, conn } = await arrive(t)
    conn.write('* BYE\r\n')
    conn.close()
    conn.write('* OK\r\n')
    assert.throws(() => conn.readLine(100), /not being read/)
    const received: Buffer[] = []
    client.on('data', (chunk: Buffer) => received.push(chunk))
    await soon(once(client, 'end'), 'no end')
    assert.equal(Buffer.concat(received).toString(), '* BYE\r\n')
  })
})

describe('a client that leaves is noticed', () => {
  /** @returns how often the connection has said so, and how to take that back */
  function watch({ conn }: { conn: ClientConnection }) {
    const noticed = { times: 0, stop: (): void => undefined }
    noticed.stop = conn.onLeaving(() => noticed.times++)
    return noticed
  }

  test('when it sends its last byte', async (t) => {
    const arrival = await arrive(t)
    const noticed = watch(arrival)
    assert.equal(noticed.times, 0)
    arrival.client.end()
    await soon(once(arrival.accepted, 'end'), 'no end')
    assert.equal(noticed.times, 1)
    assert.equal(arrival.conn.isGone, false)
  })

  test('when the connection is reset', async (t) => {
    const arrival = await arrive(t)
    const noticed = watch(arrival)
    const { promise: closed, resolve } = Promise.withResolvers<undefined>()
    arrival.accepted.once('close', () => resolve(undefined))
    arrival.client.resetAndDestroy()
    await soon(closed, 'no close')
    assert.equal(noticed.times, 1)
  })

  test('when it has already left: by its last byte, or by a closed socket', async (t) => {
    const ended = await arrive(t)
    ended.client.end()
    await soon(once(ended.accepted, 'end'), 'no end')
    assert.equal(watch(ended).times, 1)
    const closed = await arrive(t)
    closed.conn.destroy()
    assert.equal(watch(closed).times, 1)
  })

  test('only until that is taken back', async (t) => {
    const arrival = await arrive(t)
    const noticed = watch(arrival)
    noticed.stop()
    arrival.client.end()
    await soon(once(arrival.accepted, 'end'), 'no end')
    arrival.conn.destroy()
    await soon(once(arrival.accepted, 'close'), 'no close')
    assert.equal(noticed.times, 0)
  })
})

describe('the deadline of a PROXY header', () => {
  const HEADER = buildProxyHeader({
    version: 2,
    source: { address: '192.0.2.7', port: 40_000 },
    destination: { address: '192.0.2.1', port: 143 },
  })

  /** A client whose connection has received `bytes`; its clock stands still. */
  async function send(t: TestContext, bytes: Buffer) {
    const arrival = await arrive(t)
    const came = once(arrival.accepted, 'data')
    arrival.client.write(bytes)
    await soon(came, 'nothing came')
    t.mock.timers.enable({ apis: ['setTimeout'] })
    return arrival
  }

  test('ends the wait for the rest of it', async (t) => {
    const { conn } = await send(t, HEADER.subarray(0, -1))
    const learned = conn.learnOrigin()
    t.mock.timers.tick(5000)
    await assert.rejects(learned, { code: 'client-proxy-header', message: 'no whole PROXY header within 5000 ms' })
  })

  test('gives the rest of it five seconds, and does not outlast it', async (t) => {
    const { client, accepted, conn } = await send(t, HEADER.subarray(0, -1))
    const learned = conn.learnOrigin()
    t.mock.timers.tick(4999)
    const came = once(accepted, 'data')
    client.write(Buffer.concat([HEADER.subarray(-1), Buffer.from('a NOOP\r\n')]))
    await came
    await learned
    assert.equal(conn.client.address, '192.0.2.7')
    t.mock.timers.tick(60_000)
    assert.equal(await conn.readLine(100), 'a NOOP')
    const next = conn.readLine(100)
    client.write('b NOOP\r\n')
    assert.equal(await next, 'b NOOP')
  })
})
