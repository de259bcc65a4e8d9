import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { connect, createServer, type Server, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { deriveTicketKeys, ticketKeysEndMs } from '../../../src/tls/ticket-keys.ts'
import { within } from '../../support/deadline.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const NOON = Date.UTC(2026, 10, 15, 12)

describe('ticket keys', () => {
  test('are 48 bytes, the same all day long for every process with the secret', () => {
    const keys = deriveTicketKeys('secret', 'imaps', NOON)
    assert.equal(keys.length, 48)
    assert.equal(ticketKeysEndMs(NOON), Date.UTC(2026, 10, 16))
    for (const atMs of [Date.UTC(2026, 10, 15), NOON + 1, ticketKeysEndMs(NOON) - 1, ticketKeysEndMs(NOON) - 0.5]) {
      assert.deepEqual(deriveTicketKeys('secret', 'imaps', atMs), keys)
      assert.equal(ticketKeysEndMs(atMs), ticketKeysEndMs(NOON))
    }
  })

  test('differ each day, in every part', () => {
    const days = Array.from({ length: 400 }, (_, day) => deriveTicketKeys('secret', 'imaps', NOON + day * DAY_MS))
    assertDifferInEveryPart(days)
    assert.deepEqual(deriveTicketKeys('secret', 'imaps', Date.UTC(2026, 10, 16)), days[1])
  })

  test('differ by secret', () => {
    const secrets = ['secret', 'Secret', 'secret ', 'secret\0', '1']
    assertDifferInEveryPart(secrets.map((secret) => deriveTicketKeys(secret, 'imaps', NOON)))
  })

  test('differ by scope', () => {
    assertDifferInEveryPart(['imaps', 'pop3s', '', ' imaps'].map((scope) => deriveTicketKeys('secret', scope, NOON)))
  })

  // each release that changes them costs every client one full handshake
  test('stay the same from release to release', () => {
    const start = deriveTicketKeys('secret', 'imaps', 0).toString('hex').slice(0, 32)
    assert.equal(start, 'f0f3f831ecc4ca9a9476d090502d3b87')
  })

  test('need a secret', () => {
    assert.throws(() => deriveTicketKeys('', 'imaps', NOON), RangeError)
  })
})

function assertDifferInEveryPart(keys: readonly Buffer[]): void {
  for (const part of [0, 16, 32])
    assert.equal(new Set(keys.map((key) => key.toString('hex', part, part + 16))).size, keys.length)
}

describe('over a real connection', () => {
  const servers: Server[] = []
  let pair: { key: string; cert: string }

  before(async () => {
    // One command prints both, so that nothing is left on disk.
    const { stdout } = await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', '-', '-out', '-', '-days', '1', '-subj', '/CN=localhost'],
    ])
    pair = { key: stdout, cert: stdout }
  })

  after(() => servers.forEach((server) => server.close()))

  async function listen(secret: string, atMs: number): Promise<number> {
    const server = createServer({ ...pair, ticketKeys: deriveTicketKeys(secret, 'imaps', atMs) })
    server.on('secureConnection', (socket: TLSSocket) => socket.on('error', () => undefined).end('hello'))
    servers.push(server)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  /** One whole connection, and the ticket that it brought. */
  async function visit(
    port: number,
    version: 'TLSv1.2' | 'TLSv1.3',
    ticket?: Buffer,
  ): Promise<{ resumed: boolean; ticket: Buffer }> {
    const socket = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
      ...(ticket && { session: ticket }),
    })
    let latest: Buffer | undefined
    socket.on('session', (session: Buffer) => (latest = session))
    const closed = once(socket, 'close')
    await within(5000, once(socket, 'secureConnect'), () => 'no handshake')
    assert.equal(socket.getProtocol(), version)
    const resumed = socket.isSessionReused()
    // A ticket of TLS 1.3 comes after the handshake, before or with the first data.
    socket.resume()
    await within(5000, closed, () => 'the connection did not end')
    return { resumed, ticket: latest ?? ticket ?? assert.fail('no ticket came') }
  }

  for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
    test(`instances with one secret resume each other's sessions, others do not (${version})`, async () => {
      const [here, there] = [await listen('one secret', NOON), await listen('one secret', NOON + 1000)]
      const [stranger, tomorrow] = [await listen('another secret', NOON), await listen('one secret', NOON + DAY_MS)]
      const first = await visit(here, version)
      assert.equal(first.resumed, false)
      assert.equal((await visit(here, version, first.ticket)).resumed, true)
      assert.equal((await visit(there, version, first.ticket)).resumed, true)
      assert.equal((await visit(stranger, version, first.ticket)).resumed, false)
      assert.equal((await visit(tomorrow, version, first.ticket)).resumed, false)
    })
  }
})
