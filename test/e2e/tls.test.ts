/** TLS facing the clients: which certificate is shown, what is refused, what is resumed, and what may not slip in before it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { type Authority, type Leaf, makeAuthority } from '../support/certificates.ts'
import { READ_DEADLINE_MS, within } from '../support/deadline.ts'
import { type Dovecot, markerSubject, startDovecot } from '../support/dovecot.ts'
import { type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { lacks } from '../support/runtime.ts'
import { connectPeer } from '../support/scripted-peer.ts'

const USER = 'alice@example.test'
const PASSWORD = 'secret'
const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const OTHER = { imap: 'pop3', pop3: 'imap' } as const
const CIPHER = 'ECDHE-ECDSA-AES256-GCM-SHA384'
const onTwin = { expectFailure: lacks('ticketKeys') }

let scene: Scene
let authority: Authority
let leaves: Record<'usual' | 'exact' | 'wildcard', Leaf>
let store: Dovecot
/** two instances that share the secret of their tickets, and one that has another */
let mailmux: Mailmux
let twin: Mailmux
let stranger: Mailmux
let [modernPort, strictPort, admittingPort] = [0, 0, 0]

before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  leaves = {
    usual: await authority.issue('usual'),
    exact: await authority.issue('exact', { names: ['DNS:imap.example.org'] }),
    wildcard: await authority.issue('wildcard', { names: ['DNS:*.example.org'] }),
  }
  store = await startDovecot(scene, { name: 'store', users: { [USER]: PASSWORD } })
  ;[modernPort, strictPort, admittingPort] = [await freePort(), await freePort(), await freePort()]
  const secret = '0123456789abcdef0123456789abcdef'
  const client_ca_file = authority.caFile
  const listeners = [
    { name: 'admitting', protocol: 'pop3', listen: [`127.0.0.1:${admittingPort}`], tls: 'implicit', client_ca_file },
    { name: 'modern', protocol: 'imap', listen: [`127.0.0.1:${modernPort}`], tls: 'implicit', min_version: 'TLSv1.3' },
    { name: 'strict', protocol: 'imap', listen: [`127.0.0.1:${strictPort}`], tls: 'implicit', ciphers: CIPHER },
  ]
  mailmux = await startInstance(secret, listeners)
  twin = await startInstance(secret)
  stranger = await startInstance('another secret, and just as long as that')
})
after(() => scene.close())

/** A mailmux in a directory of its own, with all three certificates. */
async function startInstance(ticketSecret: string, listeners: Parameters<typeof startMailmux>[1]['listeners'] = []) {
  const own = openScene()
  scene.closeLater(() => own.close())
  const secretFile = join(own.directory, 'tickets')
  await writeFile(secretFile, ticketSecret)
  const pair = async (name: keyof typeof leaves) => {
    const { certFile, keyFile } = leaves[name]
    const files = { cert: join(own.directory, `${name}.pem`), key: join(own.directory, `${name}-key.pem`) }
    await copyFile(certFile, files.cert)
    await copyFile(keyFile, files.key)
    return files
  }
  const certificates = [await pair('usual'), await pair('exact'), await pair('wildcard')]
  return startMailmux(own, {
    certificate: leaves.usual,
    backends: { store: toBackend(store) },
    users: { [USER]: 'store' },
    listeners,
    settings: { tls: { certificates, ticket_secret_file: secretFile } },
  })
}

/** The common name of the certificate that the other side shows. */
function shownBy(socket: TLSSocket): string | undefined {
  return /CN=(.*)$/m.exec(socket.getPeerX509Certificate()?.subject ?? '')?.[1]
}

/** Shakes hands in TLS from the first byte and reads the greeting. @throws what the handshake failed with */
async function shakeHands(port: number, options: ConnectionOptions = {}) {
  const socket = connectTls({
    ...{ port, host: '127.0.0.1', ca: authority.ca, servername: 'mail.example.test' },
    ...options,
  })
  scene.closeLater(() => void socket.destroy())
  const session = once(socket, 'session') // a ticket, which TLS 1.3 sends after the handshake
  session.catch(() => undefined)
  const closed = once(socket, 'close').then((): never => assert.fail('hung up'))
  closed.catch(() => undefined)
  await within(READ_DEADLINE_MS, Promise.race([once(socket, 'secureConnect'), closed]), () => 'no handshake')
  const said = within(READ_DEADLINE_MS, Promise.race([once(socket, 'data'), closed]), () => 'no greeting')
  const greeting = String(((await said) as [Buffer])[0])
  const takeSession = async () => ((await within(READ_DEADLINE_MS, session, () => 'no session ticket')) as [Buffer])[0]
  return { socket, greeting, takeSession }
}

describe('the certificate', () => {
  for (const [name, leaf, why] of [
    ['imap.example.org', 'exact', 'an exact name, before a wildcard'],
    ['IMAP.Example.ORG', 'exact', 'an exact name in other letters'],
    ['pop.example.org', 'wildcard', 'a wildcard'],
    ['mail.example.test', 'usual', 'the first, whose name it is'],
    ['a.b.example.org', 'usual', 'the first: a wildcard stands for one label'],
    ['nobody.example.net', 'usual', 'the first, for want of another'],
    ['', 'usual', 'the first, without a server name'],
  ] as const)
    for (const protocol of PROTOCOLS) {
      const server = { servername: name, checkServerIdentity: () => undefined }
      test(`is chosen by ${name || 'no name'}: ${why}, ${protocol} in implicit TLS`, async () => {
        const { socket } = await shakeHands(mailmux.ports[`${protocol}s`], server)
        assert.equal(shownBy(socket), leaf)
      })
      test(`is chosen by ${name || 'no name'}: ${why}, ${protocol} after STARTTLS`, async () => {
        const peer = await connectPeer(scene, { port: mailmux.ports[protocol] })
        await peer.readLine()
        await peer.ask(protocol === 'imap' ? 'a STARTTLS' : 'STLS', /OK/)
        assert.equal(shownBy(await peer.startTls({ ca: authority.ca, ...server })), leaf)
      })
    }

  test('that is replaced on disk is shown to the next client, and a session that runs goes on', async () => {
    const tls = { ca: authority.ca, servername: 'mail.example.test' }
    const running = await openMailClient(scene, 'imap', stranger.ports.imaps, 'implicit', tls)
    assert.ok((await running.login(USER, PASSWORD)).accepted)
    const renewed = await authority.issue('renewed')
    const directory = join(stranger.configFile, '..')
    await copyFile(renewed.certFile, join(directory, 'usual.pem'))
    await copyFile(renewed.keyFile, join(directory, 'usual-key.pem'))
    await stranger.waitForLog((line) => line.msg === 'configuration taken over', 'the new certificate')
    const { socket } = await shakeHands(stranger.ports.imaps)
    assert.equal(shownBy(socket), 'renewed')
    const untouched = await shakeHands(stranger.ports.imaps, { servername: 'imap.example.org' })
    assert.equal(shownBy(untouched.socket), 'exact')
    assert.deepEqual(await running.subjects(), [markerSubject('store', USER)])
    await running.quit()
  })
})

// RFC 7301 3.2; a client that was led here from another protocol (ALPACA) must not go on
describe('ALPN', () => {
  for (const protocol of PROTOCOLS) {
    const port = () => mailmux.ports[`${protocol}s`]
    for (const [offer, agreed] of [
      [[], false],
      [[protocol], protocol],
      [['h2', protocol], protocol],
    ] as const)
      test(`${protocol} takes who offers ${offer.join(', ') || 'nothing'}`, async () => {
        const { socket, greeting } = await shakeHands(port(), { ALPNProtocols: [...offer] })
        assert.equal(socket.alpnProtocol, agreed)
        assert.match(greeting, /^(\* OK|\+OK) /)
      })

    for (const offer of [['h2', 'http/1.1'], ['ftp'], [OTHER[protocol]]])
      test(`${protocol} turns away who offers ${offer.join(', ')} alone, with an alert`, async () => {
        const refused = { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' }
        await assert.rejects(shakeHands(port(), { ALPNProtocols: offer }), refused)
        const peer = await connectPeer(scene, { port: mailmux.ports[protocol] })
        await peer.readLine()
        await peer.ask(protocol === 'imap' ? 'a STARTTLS' : 'STLS', /OK/)
        const wrong = { ca: authority.ca, servername: 'mail.example.test', ALPNProtocols: offer }
        await assert.rejects(peer.startTls(wrong), /no application protocol/)
      })
  }
})

describe('versions and ciphers', () => {
  const tooOld = { code: /^ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION$/ }

  test('TLS 1.2 is the least by default', async () => {
    const { socket } = await shakeHands(mailmux.ports.imaps, { maxVersion: 'TLSv1.2' })
    assert.equal(socket.getProtocol(), 'TLSv1.2')
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await assert.rejects(shakeHands(mailmux.ports.imaps, old), tooOld)
  })

  test('min_version TLSv1.3 refuses TLS 1.2', async () => {
    await assert.rejects(shakeHands(modernPort, { maxVersion: 'TLSv1.2' }), tooOld)
    const { socket } = await shakeHands(modernPort)
    assert.equal(socket.getProtocol(), 'TLSv1.3')
    await mailmux.waitForLog(
      (line) => line.listener === 'modern' && line.cause === 'client-tls-failed',
      'the refused handshake',
    )
  })

  test('ciphers are those of the listener, for TLS 1.2', async () => {
    const { socket } = await shakeHands(strictPort, { maxVersion: 'TLSv1.2' })
    assert.equal(socket.getCipher().name, CIPHER)
    const other = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } as const
    await assert.rejects(shakeHands(strictPort, other), { code: /HANDSHAKE_FAILURE/ })
    assert.equal((await shakeHands(mailmux.ports.imaps, other)).socket.getCipher().name, other.ciphers)
  })
})

// as load balancers do, that open a port to see whether somebody is there
for (const protocol of PROTOCOLS)
  test(`who leaves before the handshake is let go of at once, ${protocol}`, async () => {
    const failed = 'mailmux_tls_handshakes_total{version="none",resumed="false",outcome="failed"}'
    const failures = await mailmux.metric(failed)
    const localAddress = protocol === 'imap' ? '127.0.0.8' : '127.0.0.9'
    const early = await connectPeer(scene, { port: mailmux.ports[`${protocol}s`], localAddress })
    early.end()
    await early.expectClose()
    const { cause } = await mailmux.waitForLog(
      ({ client, msg }) => client === localAddress && msg === 'session ended',
      'the end of a client that sent nothing',
    )
    assert.equal(cause, 'client-closed')
    assert.equal(await mailmux.metric(failed), failures, 'no handshake has failed that has not begun')
    const late = await connectPeer(scene, { port: mailmux.ports[protocol] })
    await late.readLine()
    await late.ask(protocol === 'imap' ? 'a STARTTLS' : 'STLS', /OK/)
    late.end()
    await late.expectClose()
  })

// a handshake costs the server far more than the client
test('a client of TLS 1.2 may not begin another handshake on its connection', async () => {
  const { socket } = await shakeHands(mailmux.ports.imaps, { maxVersion: 'TLSv1.2' })
  const ended = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>
  socket.renegotiate({}, (error) => void socket.destroy(error ?? new Error('renegotiated')))
  const [{ code, message }] = await within(READ_DEADLINE_MS, ended, () => 'neither refused nor renegotiated')
  assert.match(code ?? '', /^ERR_SSL_(TLSV1_ALERT_)?NO_RENEGOTIATION$/, message)
})

describe('client_ca_file', () => {
  test('lets a client in that shows a certificate of that CA', async () => {
    const { cert, key } = await authority.issue('client', { usage: 'clientAuth' })
    assert.match((await shakeHands(admittingPort, { cert, key })).greeting, /^\+OK /)
  })

  const refused = /^(?!.*waited)/ // at once, not by saying nothing

  test('hangs up on a client that shows none', async () => {
    await assert.rejects(shakeHands(admittingPort), { message: refused })
  })

  test('hangs up on a client that shows one of another CA', async () => {
    const own = openScene()
    scene.closeLater(() => own.close())
    const { cert, key } = await (await makeAuthority(own.directory)).issue('client', { usage: 'clientAuth' })
    await assert.rejects(shakeHands(admittingPort, { cert, key }), { message: refused })
  })
})

describe('a session', () => {
  /** Whether the session that one port began is resumed at another. */
  async function resumes(from: number, at: number, options: ConnectionOptions): Promise<boolean> {
    const first = await shakeHands(from, options)
    const session = await first.takeSession()
    first.socket.destroy()
    const { socket, greeting } = await shakeHands(at, { ...options, session })
    assert.match(greeting, /^(\* OK|\+OK) /)
    return socket.isSessionReused()
  }

  for (const version of ['TLSv1.3', 'TLSv1.2'] as const)
    for (const servername of ['mail.example.test', 'imap.example.org'])
      for (const protocol of PROTOCOLS) {
        const options = { maxVersion: version, servername }
        const port = `${protocol}s` as const
        const what = `of ${version} with ${servername}, ${protocol},`
        test(`${what} is resumed on the same instance, and counted`, async () => {
          const series = `mailmux_tls_handshakes_total{version="${version}",resumed="true",outcome="ok"}`
          const counted = (await mailmux.metric(series)) ?? 0
          assert.equal(await resumes(mailmux.ports[port], mailmux.ports[port], options), true)
          assert.equal(await mailmux.metric(series), counted + 1)
        })
        test(`${what} is resumed on another instance with the same secret`, onTwin, async () => {
          assert.equal(await resumes(mailmux.ports[port], twin.ports[port], options), true)
        })
        test(`${what} is begun anew where the secret is another`, async () => {
          assert.equal(await resumes(mailmux.ports[port], stranger.ports[port], options), false)
        })
      }
})

// CVE-2011-0411: commands in clear behind STARTTLS must never be taken for what was said in TLS
describe('what follows STARTTLS in clear', () => {
  const COMMANDS = {
    imap: { start: 'a STARTTLS\r\n', injected: 'b LOGIN eve secret\r\n', go: /^a OK / },
    pop3: { start: 'STLS\r\n', injected: 'USER eve\r\n', go: /^\+OK / },
  }
  for (const protocol of PROTOCOLS) {
    const { start, injected, go } = COMMANDS[protocol]

    test(`in the same packet closes the connection, ${protocol}`, async () => {
      const peer = await connectPeer(scene, { port: mailmux.ports[protocol] })
      await peer.readLine()
      peer.sendRaw(start + injected)
      await peer.expect(go)
      await peer.expectClose()
      await mailmux.waitForLog(
        (line) => line.cause === 'client-bytes-before-tls' && line.listener === `${protocol}-starttls`,
        'the bytes before TLS',
      )
    })

    test(`in the next packet closes the connection, ${protocol}`, async () => {
      const localAddress = protocol === 'imap' ? '127.0.0.6' : '127.0.0.7'
      const peer = await connectPeer(scene, { port: mailmux.ports[protocol], localAddress })
      await peer.readLine()
      peer.sendRaw(start)
      await peer.expect(go)
      peer.sendRaw(injected)
      // no word in clear, but from BoringSSL an alert that this is no TLS (RFC 8446 6)
      assert.match((await peer.readToEnd()).toString('latin1'), /^(?:\x15\x03[\x01-\x03]\0\x02\x02[^])?$/)
      await mailmux.waitForLog(
        (line) => line.cause === 'client-tls-failed' && line.client === localAddress,
        'the handshake that was none',
      )
    })
  }
})
