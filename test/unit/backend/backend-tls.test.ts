/** Which certificates of back ends are trusted, and under which name: handshakes over loopback. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer as createTcpServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { createServer, type TLSSocket } from 'node:tls'
import { X509Certificate } from 'node:crypto'
import { buildBackends, type Backend } from '../../../src/backend/backends.ts'
import { secureBackend } from '../../../src/backend/dialer.ts'
import type { BackendSettings } from '../../../src/config/settings.ts'
import { MuxError, type ErrorCode } from '../../../src/errors.ts'
import { Secret } from '../../../src/secret.ts'
import { makeAuthority, type Authority, type Leaf } from '../../support/certificates.ts'
import { backendSettings } from './fixture.ts'

let directory: string
let authority: Authority
let leaf: Leaf

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailmux-backend-tls-'))
  authority = await makeAuthority(directory)
  leaf = await authority.issue('store', { names: ['DNS:store.example.test', 'IP:127.0.0.1'] })
})

after(() => rm(directory, { recursive: true }))

function build(changes: Partial<BackendSettings>): Backend {
  const built = buildBackends(new Map([['store-1', backendSettings({ tls: 'implicit', ...changes })]]))
  assert.equal(built.size, 1)
  return built.get('store-1')!
}

const pinOf = (cert: string): string => new X509Certificate(cert).fingerprint256.replaceAll(':', '')

describe('the options of a handshake', () => {
  const optionsFor = (changes: Partial<BackendSettings>, host = 'store.example.test') =>
    build(changes).tlsOptions?.(host)

  test('do not exist where the connection stays in clear', () => {
    assert.equal(build({ tls: 'none' }).tlsOptions, undefined)
    for (const tls of ['implicit', 'starttls'] as const) assert.notEqual(build({ tls }).tlsOptions, undefined)
  })

  for (const [verify, pins, expected] of [
    ['name', [], true],
    ['name', ['AB'], false], // the pin is checked after the handshake
    ['none', [], false],
    ['none', ['AB'], false],
  ] as const) {
    test(`with verify: ${verify} and ${pins.length} pins ${expected ? 'need' : 'do not need'} a CA`, () => {
      assert.equal(optionsFor({ verify, pins: [...pins] })?.rejectUnauthorized, expected)
    })
  }

  for (const [tlsName, host, name, servername] of [
    [undefined, 'store.example.test', 'store.example.test', 'store.example.test'],
    [undefined, 'store.example.test.', 'store.example.test', 'store.example.test'],
    ['mail.example.test', 'store.example.test', 'mail.example.test', 'mail.example.test'],
    ['mail.example.test', '192.0.2.1', 'mail.example.test', 'mail.example.test'],
    // RFC 6066 3: an address is never a server name
    [undefined, '192.0.2.1', '192.0.2.1', undefined],
    [undefined, '2001:db8::1', '2001:db8::1', undefined],
  ] as const) {
    test(`expect ${name} at ${host} with tls_name ${tlsName ?? 'unset'}`, () => {
      const options = optionsFor({ tlsName }, host)
      assert.equal(options?.host, name)
      assert.equal(options.servername, servername)
    })
  }
})

/** A TLS server on loopback, and a handshake of mailmux with it. */
async function handshake(t: TestContext, changes: Partial<BackendSettings>, host: string, server?: Server) {
  const shown: { name?: string | undefined } = {}
  const onSecure = (socket: TLSSocket): void => {
    shown.name = socket.getPeerX509Certificate()?.subject
    socket.on('error', () => undefined)
    socket.end('ready')
  }
  const { cert, key } = leaf
  const listening = server ?? createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, onSecure)
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  t.after(() => {
    socket.destroy()
    listening.close()
  })
  await once(socket, 'connect')
  const address = { host, ip: '127.0.0.1', port, source: 'name', rank: 0, weight: 1 } as const
  const securing = secureBackend(socket, build(changes), address)
  return { securing, socket, shown }
}

const refused = (code: ErrorCode, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof MuxError)
  assert.equal(error.code, code)
  assert.match(error.message, words)
  return true
}

describe('a handshake with a back end', () => {
  test('trusts a certificate of the configured CA under the name that was dialled', async (t) => {
    const { securing } = await handshake(t, { ca: authority.ca }, 'store.example.test')
    const secured = await securing
    assert.equal(secured.authorized, true)
    secured.destroy()
  })

  test('trusts a certificate for the address where the host is one', async (t) => {
    const { securing } = await handshake(t, { ca: authority.ca }, '127.0.0.1')
    ;(await securing).destroy()
  })

  test('refuses a certificate for another name', async (t) => {
    const { securing } = await handshake(t, { ca: authority.ca }, 'other.example.test')
    await assert.rejects(securing, refused('backend-certificate', /back end store-1 .*ERR_TLS_CERT_ALTNAME_INVALID/))
  })

  test('refuses a certificate for another name than tls_name', async (t) => {
    const { securing } = await handshake(t, { ca: authority.ca, tlsName: 'a.example.test' }, 'store.example.test')
    await assert.rejects(securing, refused('backend-certificate', /ERR_TLS_CERT_ALTNAME_INVALID/))
  })

  test('refuses a certificate of a CA that is not in the system store', async (t) => {
    const { securing, socket } = await handshake(t, {}, 'store.example.test')
    await assert.rejects(securing, refused('backend-certificate', /UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET/))
    assert.equal(socket.destroyed, true)
  })

  test('trusts every certificate with verify: none', async (t) => {
    const { securing } = await handshake(t, { verify: 'none' }, 'other.example.test')
    ;(await securing).destroy()
  })

  test('trusts the pinned certificate alone, whatever its CA and name', async (t) => {
    const pinned = await handshake(t, { pins: ['00'.repeat(32), pinOf(leaf.cert)] }, 'other.example.test')
    ;(await pinned.securing).destroy()
    const other = await handshake(t, { pins: [pinOf(authority.ca)], ca: authority.ca }, 'store.example.test')
    const words = new RegExp(`back end store-1 shows a certificate that is not pinned: SHA-256 ${pinOf(leaf.cert)}`)
    await assert.rejects(other.securing, refused('backend-certificate', words))
    await once(other.socket, 'close') // nothing was sent over it
  })

  test('shows the client certificate where one is configured, and none otherwise', async (t) => {
    const { cert, key } = await authority.issue('mux', { usage: 'clientAuth' })
    const own = { cert, key: new Secret(key), certFile: '', keyFile: '' }
    for (const [clientCertificate, expected] of [
      [own, 'CN=mux'],
      [undefined, undefined],
    ] as const) {
      const { securing, shown } = await handshake(t, { ca: authority.ca, clientCertificate }, 'store.example.test')
      const secured = await securing
      await once(secured, 'data') // the server has seen all of the handshake
      assert.equal(shown.name, expected)
      secured.destroy()
    }
  })

  test('calls a server without TLS what it is, and no problem of a certificate', async (t) => {
    const server = createTcpServer((socket) => socket.on('error', () => undefined).end('* OK IMAP4rev1 ready\r\n'))
    const { securing } = await handshake(t, { ca: authority.ca }, 'store.example.test', server)
    await assert.rejects(securing, refused('backend-tls-failed', /^TLS with back end store-1 failed: /))
  })

  test('ends with the reason for which the socket is destroyed', async (t) => {
    const silent = createTcpServer((socket) => socket.on('error', () => undefined))
    const { securing, socket } = await handshake(t, {}, 'store.example.test', silent)
    const reason = new MuxError('backend-timeout', 'no answer in time')
    socket.destroy(reason)
    await assert.rejects(securing, (error) => error === reason)
    assert.equal(socket.destroyed, true)
  })
})
