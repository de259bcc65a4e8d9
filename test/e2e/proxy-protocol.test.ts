/** The client address behind a load balancer: read from a PROXY header, and only of trusted senders. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Dovecot, markerSubject, startDovecot } from '../support/dovecot.ts'
import { type Haproxy, HEADER_VERSIONS, HEADERS, mailDoors, startForwarder, startHaproxy } from '../support/haproxy.ts'
import { proxyHeader, proxyLine, wantsHeader } from '../support/haproxy.ts'
import { type MailProtocol, openMailClient, type Security } from '../support/mail-client.ts'
import { type LogLine, type Mailmux, startMailmux, toBackend, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer, type PeerTls } from '../support/scripted-peer.ts'
import { BYTE_BY_BYTE, WHOLE } from '../support/splits.ts'

const USER = 'alice@example.test'
const PASSWORD = 'secret'
const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const SECURITIES: Security[] = ['starttls', 'implicit', 'clear']

/** Back ends that get a header, or get none, rightly or wrongly. */
const OUT = ['right-v1', 'right-v2', 'needless-v1', 'needless-v2', 'missing']

let scene: Scene
let tls: PeerTls
let mailmux: Mailmux
let haproxy: Haproxy
/** mailmux's listeners that want a header, by name */
const doors: Record<string, number> = {}
let store: Dovecot

before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  tls = { ca: authority.ca, servername: 'mail.example.test' }
  const certificate = await authority.issue('mailmux')
  const proxied = { imap: await freePort(), pop3: await freePort() }
  const extra = PROTOCOLS.map((protocol) => wantsHeader(protocol, proxied[protocol]))
  store = await startDovecot(scene, { name: 'store', users: { [USER]: PASSWORD }, extra: extra.join('\n') })
  const listeners: YamlMap[] = []
  for (const protocol of PROTOCOLS)
    for (const security of [...SECURITIES, 'secured', 'checked'] as const) {
      const name = `${protocol}-${security}`
      doors[name] = await freePort()
      listeners.push({
        name: `behind-${name}`,
        protocol,
        listen: [`127.0.0.1:${doors[name]}`],
        tls: security === 'starttls' || security === 'implicit' ? security : 'none',
        proxy_protocol: 'required',
        trusted_proxies: ['127.0.0.1', '127.0.1.0/24'],
        ...((security === 'clear' || security === 'checked') && { allow_plaintext_auth: true }),
      })
    }
  mailmux = await startMailmux(scene, {
    certificate,
    backends: {
      store: toBackend(store),
      'right-v1': { ...toBackend(store), ...proxied, proxy_protocol: 'v1' },
      'right-v2': { ...toBackend(store), ...proxied, proxy_protocol: 'v2' },
      'needless-v1': { ...toBackend(store), proxy_protocol: 'v1' },
      'needless-v2': { ...toBackend(store), proxy_protocol: 'v2' },
      missing: { ...toBackend(store), ...proxied },
    },
    users: {
      [USER]: 'store',
      ...Object.fromEntries(OUT.map((backend) => [`${backend}@example.test`, { backend, login: USER }])),
    },
    listeners,
  })
  const combined = join(scene.directory, 'haproxy.pem')
  await writeFile(combined, certificate.cert + certificate.key)
  const ports = PROTOCOLS.flatMap((protocol) => mailDoors(protocol, doors, combined))
  haproxy = await startHaproxy(scene, ports)
})
after(() => scene.close())

/** Logs in at a port and looks whether the mailbox is the right one. */
async function readMail(protocol: MailProtocol, port: number, security: Security): Promise<void> {
  const client = await openMailClient(scene, protocol, port, security, tls)
  const { accepted, answer } = await client.login(USER, PASSWORD)
  assert.ok(accepted, answer)
  assert.deepEqual(await client.subjects(), [markerSubject('store', USER)])
  await client.quit()
}

/** The line that ends a session at this listener, from this client. */
function sessionOf(listener: string, client: string): Promise<LogLine> {
  const isIt = (line: LogLine) =>
    line.msg === 'session ended' && line.listener === `behind-${listener}` && line.client === client
  return mailmux.waitForLog(isIt, `a session of ${client} at ${listener}`)
}

/** Says this from an address of its own and must be hung up on without a word. @returns the line about it */
async function hungUpOn(door: string, localAddress: string, bytes: string | Buffer): Promise<LogLine> {
  const peer = await connectPeer(scene, { port: doors[door]!, localAddress })
  peer.sendRaw(bytes)
  await peer.expectClose(20_000)
  return sessionOf(door, localAddress)
}

/** How many connections mailmux has counted at a listener. */
async function counted(protocol: MailProtocol, listener: string): Promise<number> {
  return (await mailmux.metric(`mailmux_connections_total{protocol="${protocol}",listener="behind-${listener}"}`)) ?? 0
}

describe('behind HAProxy', () => {
  for (const protocol of PROTOCOLS)
    for (const server of HEADER_VERSIONS)
      for (const security of SECURITIES)
        test(`with ${server}, ${protocol} ${security}, the log has the client's own address`, async () => {
          const localAddress = server === 'send-proxy' ? '127.0.0.2' : '127.0.0.3'
          const target = haproxy.ports[`${protocol}-${security}-${server}`]!
          const port = await startForwarder(scene, { target, localAddress }) // the client, as HAProxy sees it
          await readMail(protocol, port, security)
          const { user } = await sessionOf(`${protocol}-${security}`, localAddress)
          assert.equal(user, USER)
        })

  for (const protocol of PROTOCOLS) {
    test(`that has opened the client's TLS, ${protocol} takes the password and offers no TLS again`, async () => {
      const target = haproxy.ports[`${protocol}-secured`]!
      const port = await startForwarder(scene, { target, localAddress: '127.0.0.2' })
      const peer = await connectPeer(scene, { port }, tls)
      const greeting = await peer.readLine()
      if (protocol === 'imap') {
        assert.doesNotMatch(greeting, /STARTTLS|LOGINDISABLED/)
        assert.match(greeting, /AUTH=PLAIN/)
      }
      peer.destroy()
      await readMail(protocol, port, 'implicit')
      const { tls: version } = await sessionOf(`${protocol}-secured`, '127.0.0.2')
      assert.equal(version, 'TLSv1.3') // out of the vectors
    })

    test(`that has not, ${protocol} does not take a password on that port`, async () => {
      const port = await startForwarder(scene, {
        target: doors[`${protocol}-secured`]!,
        header: proxyHeader('192.0.2.7'),
      })
      const client = await openMailClient(scene, protocol, port, 'clear', tls)
      if (protocol === 'imap') assert.match(client.greeting, /LOGINDISABLED/)
      if (protocol === 'pop3') await client.peer.ask(`USER ${USER}`, /^-ERR \[AUTH\] /)
      else await client.peer.ask(`a LOGIN ${USER} ${PASSWORD}`, /^\* BAD \[ALERT\]/)
      client.peer.destroy()
    })

    test(`that looks whether mailmux is well, ${protocol} greets, and neither logs nor counts it`, async () => {
      await until(
        START_DEADLINE_MS,
        async () => ((await haproxy.checkStatus(`${protocol}-checked`)) === 'L7OK' ? true : undefined),
        () => `no check of HAProxy succeeds`,
      )
      await readMail(protocol, haproxy.ports[`${protocol}-checked`]!, 'clear')
      await sessionOf(`${protocol}-checked`, '127.0.0.1')
      assert.equal(await counted(protocol, `${protocol}-checked`), 1)
      const lines = mailmux.log().filter(({ listener }) => listener === `behind-${protocol}-checked`)
      // of the login alone, and none of the checks
      const sessions = new Set(lines.map(({ session }) => session))
      assert.equal(sessions.size, 1, JSON.stringify(lines))
      assert.equal(lines.filter(({ msg }) => msg === 'session ended').length, 1, JSON.stringify(lines))
    })
  }
})

describe('a header', () => {
  let hosts = 10
  for (const cut of [WHOLE, BYTE_BY_BYTE])
    for (const version of HEADER_VERSIONS)
      for (const protocol of PROTOCOLS)
        for (const security of SECURITIES) {
          const together = security === 'implicit' ? ', together with the ClientHello' : ''
          test(`of ${version} is read ${cut.name}${together}: ${protocol} ${security}`, async () => {
            const address = `198.51.100.${++hosts}`
            const port = await startForwarder(scene, {
              target: doors[`${protocol}-${security}`]!,
              header: HEADERS[version](address),
              clientSpeaksFirst: security === 'implicit',
              cut,
            })
            await readMail(protocol, port, security)
            const { user, backend } = await sessionOf(`${protocol}-${security}`, address)
            assert.deepEqual({ user, backend }, { user: USER, backend: 'store' })
          })
        }

  test('of a LOCAL connection is no client: neither logged nor counted', async () => {
    const before = await counted('imap', 'imap-clear')
    const peer = await connectPeer(scene, { port: doors['imap-clear']! })
    peer.sendRaw(proxyHeader('192.0.2.9', 'local'))
    await peer.expect(/^\* OK /)
    await peer.ask('a LOGOUT', /^\* BYE /)
    await peer.expect(/^a OK /)
    await peer.expectClose()
    assert.equal(await counted('imap', 'imap-clear'), before)
    const port = await startForwarder(scene, { target: doors['imap-clear']!, header: proxyLine('192.0.2.10') })
    await readMail('imap', port, 'clear') // once its line is there, an earlier one would be too
    await sessionOf('imap-clear', '192.0.2.10')
    const own = mailmux.log().filter((line) => line.listener === 'behind-imap-clear' && line.client === '127.0.0.1')
    assert.deepEqual(own, [])
  })
})

describe('without a header', () => {
  const ALIEN: [string, string | Buffer][] = [
    ['a command', 'a NOOP\r\n'],
    ['a request of HTTP', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a ClientHello', Buffer.from('160301020001000100', 'hex')],
    ['a header that is cut short', 'PROXY TCP4 192.0.2.11\r\n'],
    ['a header with an address that is none', 'PROXY TCP4 192.0.2.256 127.0.0.1 1 2\r\n'],
    ['a binary header of another version', Buffer.from('0d0a0d0a000d0a515549540a3111000c', 'hex')],
  ]
  const from = (index: number) => `127.0.1.${index + 1}`
  for (const [index, [what, bytes]] of ALIEN.entries())
    for (const security of SECURITIES)
      test(`${what} is hung up on without a word, ${security}`, async () => {
        const { cause, phase } = await hungUpOn(`imap-${security}`, from(index), bytes)
        assert.deepEqual({ cause, phase }, { cause: 'client-proxy-header', phase: 'proxy-header' })
      })

  test('a silent client is hung up on', async () => {
    const { cause, detail } = await hungUpOn('pop3-starttls', from(ALIEN.length), '')
    assert.equal(cause, 'client-proxy-header')
    assert.match(String(detail), /no whole PROXY header within/)
  })
})

describe('from a stranger', () => {
  for (const version of HEADER_VERSIONS)
    for (const security of SECURITIES)
      test(`a header of ${version} is refused, ${security}`, async () => {
        const from = version === 'send-proxy' ? '127.0.0.4' : '127.0.0.5'
        const { cause } = await hungUpOn(`pop3-${security}`, from, HEADERS[version]('192.0.2.1'))
        assert.equal(cause, 'client-not-trusted')
      })

  test('is counted by its cause', async () => {
    const rejected = await mailmux.metric('mailmux_connections_rejected_total{reason="client-not-trusted"}')
    assert.equal(rejected, HEADER_VERSIONS.length * SECURITIES.length)
  })
})

describe('a back end', { concurrency: true }, () => {
  /** Logs in as the user who lives on this back end, from an address of its own. */
  async function answerFrom(protocol: MailProtocol, backend: string, localAddress: string): Promise<string> {
    const target = mailmux.ports[protocol === 'imap' ? 'imapClear' : 'pop3Clear']
    const port = await startForwarder(scene, { target, localAddress })
    const client = await openMailClient(scene, protocol, port, 'clear', tls)
    const { answer } = await client.login(`${backend}@example.test`, PASSWORD)
    client.peer.destroy()
    return answer
  }

  for (const protocol of PROTOCOLS) {
    for (const [version, from] of [
      ['v1', '127.0.0.21'],
      ['v2', '127.0.0.22'],
    ] as const)
      test(`that wants a header of ${version} logs the client's own address, ${protocol}`, async () => {
        assert.match(await answerFrom(protocol, `right-${version}`, from), /^(OK|\+OK) /)
        const line = new RegExp(`${protocol}-login: Info: Login: user=<${USER}>.* rip=${from.replaceAll('.', '\\.')},`)
        await until(
          READ_DEADLINE_MS,
          () => line.test(store.log()) || undefined,
          () => `no ${String(line)} in: ${store.log()}`,
        )
      })

    for (const [backend, hint] of [
      ['needless-v1', 'does the back end expect no PROXY header?'],
      ['needless-v2', 'does the back end expect no PROXY header?'],
      ['missing', 'does the back end expect a PROXY header?'],
    ] as const)
      test(`that mailmux disagrees with on the header (${backend}) gives no wrong password, and the log a hint, ${protocol}`, async () => {
        const answer = await answerFrom(protocol, backend, '127.0.0.23')
        const { detail } = await mailmux.waitForLog(
          (line) =>
            line.msg === 'login refused' && line.backend === backend && String(line.listener).startsWith(protocol),
          `${protocol} login refused at ${backend}`,
        )
        assert.ok(String(detail).includes(hint), String(detail))
        // an outage: on AUTHENTICATIONFAILED or AUTH the client would drop its password
        assert.match(answer, /^NO \[(UNAVAILABLE|SERVERBUG)\] |^-ERR \[SYS\/(TEMP|PERM)\] /)
      })
  }
})
