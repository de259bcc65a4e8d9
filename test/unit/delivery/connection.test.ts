/** A connection of a socketmap: what it answers, when it ends, and what it holds meanwhile. */
import assert from 'node:assert/strict'
import { duplexPair, type Duplex } from 'node:stream'
import { describe, test } from 'node:test'
import { MAX_REQUEST_BYTES, serveConnection } from '../../../src/delivery/connection.ts'
import { createDelivery } from '../../../src/delivery/delivery.ts'
import { writeNetstring } from '../../../src/delivery/netstring.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import { createRouter } from '../../../src/routing/router.ts'
import { within } from '../../support/deadline.ts'
import { testEveryCut } from '../../support/splits.ts'
import { backendSettings, keepLog } from '../backend/fixture.ts'
import { PLACING, routing } from '../routing/fixture.ts'

const DEADLINE_MS = 10_000

/** Everything that a client reads until the end. The two sides of a pair do not end each other: `server` ends by itself. */
async function readAll(client: Duplex, server: Duplex): Promise<string> {
  let text = ''
  client.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const closed = server.closed ? Promise.resolve() : new Promise((resolve) => server.once('close', resolve))
  await within(DEADLINE_MS, closed, () => `still open after ${text}`)
  await settled()
  return text
}

/** Resolves when what is ready to run has run. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

const echo = (payload: Buffer) => Promise.resolve(`OK ${payload.toString()}`)

describe('a connection', () => {
  testEveryCut('answers each of several requests, in their order, however they are cut', async ({ split }) => {
    const [client, server] = duplexPair()
    const served = serveConnection(server, echo)
    const read = readAll(client, server)
    const requests = ['delivery a@x.test', 'delivery bb@x.test', 'delivery ccc@x.test']
    for (const piece of split(requests.map(writeNetstring).join(''))) {
      client.write(piece)
      await settled()
    }
    client.end()
    assert.equal(await read, requests.map((one) => writeNetstring(`OK ${one}`)).join(''))
    assert.equal(await served, 'closed')
  })

  for (const [what, bytes] of [
    ['no netstring', 'EHLO there\r\n'],
    ['a length that is too large', `${MAX_REQUEST_BYTES + 1}:`],
    ['another end than a comma', '3:a b;'],
  ] as const) {
    test(`ends at ${what}, after the replies to what came before, and answers nothing behind it`, async () => {
      const [client, server] = duplexPair()
      const served = serveConnection(server, echo)
      const read = readAll(client, server)
      client.write(`${writeNetstring('x y')}${bytes}${writeNetstring('x z')}`)
      assert.equal(await read, writeNetstring('OK x y'))
      assert.equal(await served, 'malformed')
    })
  }

  test('ends at a request without a key', async () => {
    const [client, server] = duplexPair()
    const served = serveConnection(server, () => Promise.resolve(undefined))
    client.write(writeNetstring('key'))
    assert.equal(await readAll(client, server), '')
    assert.equal(await served, 'malformed')
  })

  test('ends without a request for the idle time, also in the middle of one', async () => {
    for (const sent of ['', '5:he']) {
      const [client, server] = duplexPair()
      const served = serveConnection(server, echo, 20)
      client.write(sent)
      assert.equal(await within(DEADLINE_MS, served, () => 'still open'), 'closed')
    }
  })

  test('asks no second question before the first is answered', async () => {
    const [client, server] = duplexPair()
    const waiting: ((reply: string) => void)[] = []
    void serveConnection(server, () => new Promise((resolve) => waiting.push(resolve)))
    client.write(`${writeNetstring('a b')}${writeNetstring('a c')}`)
    await settled()
    assert.equal(waiting.length, 1)
    waiting[0]?.('OK 1')
    await settled()
    assert.equal(waiting.length, 2)
    server.destroy()
  })

  test('answers no more than a client that does not read has room for, and goes on when it reads', async () => {
    const [client, server] = duplexPair()
    let asked = 0
    const reply = `OK ${'x'.repeat(1000)}`
    const served = serveConnection(server, () => {
      asked++
      return Promise.resolve(reply)
    })
    const requests = 2000
    client.write(writeNetstring('a b').repeat(requests))
    client.end()
    let before = -1
    while (before !== asked) {
      before = asked
      await settled()
    }
    assert.ok(asked < 300, `${asked} answered without a reader`)
    assert.equal((await readAll(client, server)).length, requests * writeNetstring(reply).length)
    assert.equal(await served, 'closed')
    assert.equal(asked, requests)
  })
})

describe('the service', () => {
  function service(clients?: readonly string[], maxConnections?: number) {
    const { log, lines } = keepLog()
    const outcomes: string[] = []
    const backends = new Map([['store1', backendSettings({ name: 'store1', hosts: ['10.0.0.11'], lmtp: 24 })]])
    const router = createRouter({ ...routing(), backends }, undefined, () => undefined, PLACING)
    const delivery = createDelivery({
      world: () => ({ router, delivery: { clients: clients && createIpSet(clients), recipientDelimiter: '+' } }),
      log,
      metrics: { deliveryLookedUp: (outcome) => void outcomes.push(outcome) },
      ...(maxConnections !== undefined && { maxConnections }),
    })
    const connect = (remoteAddress = '127.0.0.1') => {
      const [client, server] = duplexPair()
      delivery.accept(Object.assign(server, { remoteAddress }))
      return { client, server }
    }
    return { delivery, connect, lines, outcomes }
  }

  test('counts each lookup by its outcome, and logs a connection that speaks nonsense once', async () => {
    const { connect, lines, outcomes } = service()
    const { client, server } = connect()
    client.write(writeNetstring('delivery ann@example.test') + writeNetstring('delivery ann@x.test'))
    client.end('nonsense')
    assert.equal(
      await readAll(client, server),
      writeNetstring('OK lmtp:inet:10.0.0.11:24') + writeNetstring('NOTFOUND '),
    )
    const second = connect()
    second.client.end('nonsense')
    await readAll(second.client, second.server)
    assert.deepEqual(outcomes, ['found', 'not-found'])
    assert.deepEqual(lines, [
      { level: 'warn', message: 'delivery connection closed', reason: 'malformed', client: '127.0.0.1' },
    ])
  })

  test('closes a connection from an address that is not among the clients', async () => {
    const { connect, lines } = service(['192.0.2.0/24'])
    const stranger = connect('198.51.100.1')
    assert.equal(await readAll(stranger.client, stranger.server), '')
    assert.deepEqual(
      lines.map(({ reason }) => reason),
      ['not-allowed'],
    )
    const { client, server } = connect('::ffff:192.0.2.7')
    client.end(writeNetstring('delivery ann@x.test'))
    assert.equal(await readAll(client, server), writeNetstring('NOTFOUND '))
  })

  test('closes a connection over the limit, and serves again when one has ended', async () => {
    const { delivery, connect, lines } = service(undefined, 1)
    const first = connect()
    const second = connect()
    assert.equal(await readAll(second.client, second.server), '')
    assert.deepEqual(
      lines.map(({ reason }) => reason),
      ['too-many-connections'],
    )
    first.client.end()
    await readAll(first.client, first.server)
    const next = connect()
    next.client.write(writeNetstring('delivery ann@x.test'))
    await new Promise((resolve) => next.client.once('readable', resolve))
    delivery.close()
    await readAll(next.client, next.server)
  })
})
