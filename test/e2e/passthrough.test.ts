/** TLS that mailmux does not open: the server name alone leads to the store, whose own certificate the client sees. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Authority, makeAuthority } from '../support/certificates.ts'
import { type Dovecot, markerSubject, startDovecot } from '../support/dovecot.ts'
import { proxyHeader, startForwarder } from '../support/haproxy.ts'
import { type MailClient, type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type LogLine, type Mailmux, startMailmux, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'
import { CUTS } from '../support/splits.ts'

const USER = 'alice@example.test'
const PASSWORD = 'secret'
const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']

/** Each store's own certificate has the names that lead to it. */
const NAMES = {
  exact: ['DNS:exact.example.org'],
  wildcard: ['DNS:*.example.org'],
  rest: ['DNS:anything.example.net', 'DNS:a.b.example.org', 'DNS:example.org'],
}
type StoreName = keyof typeof NAMES
const RULES = { 'exact.example.org': 'exact', '*.example.org': 'wildcard', '*': 'rest' }
const [NO_DEFAULT, ALL, MIXED, PROXIED] = ['no-default', 'all', 'mixed', 'proxied']

let scene: Scene
let authority: Authority
let stores: Record<StoreName, Dovecot>
let mailmux: Mailmux
/** by listener and protocol, as `all-imap` */
const ports: Record<string, number> = {}

before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  const startStore = async (name: StoreName) => {
    const certificate = await authority.issue(name, { names: NAMES[name] })
    return startDovecot(scene, { name, users: { [USER]: PASSWORD }, certificate })
  }
  const [exact, wildcard, rest] = [await startStore('exact'), await startStore('wildcard'), await startStore('rest')]
  stores = { exact, wildcard, rest }
  const { '*': _, ...named } = RULES
  const listeners: YamlMap[] = []
  for (const protocol of PROTOCOLS)
    for (const [name, tls, passthrough, more] of [
      [ALL, 'passthrough', RULES, {}],
      [NO_DEFAULT, 'passthrough', named, {}],
      [MIXED, 'implicit', named, {}],
      [PROXIED, 'passthrough', RULES, { proxy_protocol: 'required', trusted_proxies: ['127.0.0.1'] }],
    ] as [string, string, YamlMap, YamlMap][]) {
      const port = (ports[`${name}-${protocol}`] = await freePort())
      listeners.push({
        name: `${name}-${protocol}`,
        protocol,
        listen: [`127.0.0.1:${port}`],
        tls,
        passthrough,
        ...more,
      })
    }
  const toStore = (name: StoreName): YamlMap => {
    const { imaps, pop3s } = stores[name].ports
    const tls_name = NAMES[name][0]!.replace('DNS:', '').replace('*', 'any')
    return { host: '127.0.0.1', imap: imaps!, pop3: pop3s!, tls: 'implicit', tls_name, ca_file: authority.caFile }
  }
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux', { names: ['DNS:mail.example.test'] }),
    backends: { exact: toStore('exact'), wildcard: toStore('wildcard'), rest: toStore('rest') },
    users: { [USER]: 'rest' },
    listeners,
  })
})
after(() => scene.close())

/** In TLS with whoever answers there, whose certificate must be good for this name. */
function open(protocol: MailProtocol, port: number, servername: string): Promise<MailClient> {
  return openMailClient(scene, protocol, port, 'implicit', { ca: authority.ca, servername })
}

/** Arrives at this store, which must show its own certificate and be the one whose mail is read. */
async function arriveAt(store: string, protocol: MailProtocol, port: number, servername: string): Promise<void> {
  const client = await open(protocol, port, servername)
  assert.match(client.greeting, new RegExp(`${store} ready\\.$`)) // Dovecot's own
  const { accepted, answer } = await client.login(USER, PASSWORD)
  assert.ok(accepted, answer)
  assert.deepEqual(await client.subjects(), [markerSubject(store, USER)])
  await client.quit()
}

function endOf(listener: string, client: string): Promise<LogLine> {
  return mailmux.waitForLog(
    (line) => line.msg === 'session ended' && line.listener === listener && line.client === client,
    `the end of the session of ${client} at ${listener}`,
  )
}

for (const protocol of PROTOCOLS) {
  describe(`tls: passthrough, ${protocol},`, () => {
    for (const [name, store] of [
      ['exact.example.org', 'exact'],
      ['EXACT.Example.Org', 'exact'],
      ['some.example.org', 'wildcard'],
      ['anything.example.net', 'rest'],
      ['a.b.example.org', 'rest'],
      ['example.org', 'rest'],
    ] as const)
      test(`leads ${name} to the store ${store}`, () => arriveAt(store, protocol, ports[`${ALL}-${protocol}`]!, name))

    test('leads a client without a server name to the rule for all', async () => {
      const peer = await connectPeer(scene, { port: ports[`${ALL}-${protocol}`]! })
      const nameless = { ca: authority.ca, checkServerIdentity: () => undefined }
      const socket = await peer.startTls(nameless)
      assert.equal(socket.getPeerX509Certificate()?.subject, 'CN=rest')
      await peer.expect(/rest ready\.$/)
    })

    for (const cut of CUTS)
      test(`reads a ClientHello that comes ${cut.name}`, async () => {
        const target = ports[`${ALL}-${protocol}`]!
        const port = await startForwarder(scene, { target, clientSpeaksFirst: true, cut })
        await arriveAt('wildcard', protocol, port, 'cut.example.org')
      })

    test('hangs up on a name without a rule, and on none', async () => {
      const port = ports[`${NO_DEFAULT}-${protocol}`]!
      for (const servername of ['anything.example.net', 'example.org', undefined]) {
        const localAddress = `127.0.2.${servername?.length ?? 1}`
        const peer = await connectPeer(scene, { port, localAddress })
        await assert.rejects(peer.startTls({ ca: authority.ca, ...(servername && { servername }) }))
        const { cause, backend } = await endOf(`${NO_DEFAULT}-${protocol}`, localAddress)
        assert.deepEqual({ cause, backend }, { cause: 'client-no-such-name', backend: undefined })
      }
    })

    for (const [what, bytes] of [
      ['a command', 'a NOOP\r\n'],
      ['a request of HTTP', 'GET / HTTP/1.1\r\n\r\n'],
      ['a PROXY header that nobody asked for', proxyHeader('192.0.2.1')],
    ] as const)
      test(`hangs up on ${what} without a word`, async () => {
        const localAddress = `127.0.3.${bytes.length}`
        const peer = await connectPeer(scene, { port: ports[`${ALL}-${protocol}`]!, localAddress })
        peer.sendRaw(bytes)
        await peer.expectClose()
        assert.equal((await endOf(`${ALL}-${protocol}`, localAddress)).cause, 'client-tls-failed')
      })

    test('logs the store and the address, and neither user nor version, which it cannot see', async () => {
      const target = ports[`${ALL}-${protocol}`]!
      const port = await startForwarder(scene, { target, localAddress: '127.0.2.100' })
      await arriveAt('exact', protocol, port, 'exact.example.org')
      const { backend, user, tls, phase } = await endOf(`${ALL}-${protocol}`, '127.0.2.100')
      assert.deepEqual(
        { backend, user, tls, phase },
        { backend: 'exact', user: undefined, tls: undefined, phase: 'relaying' },
      )
    })

    test('works behind a PROXY header in the packet of the ClientHello', async () => {
      const header = proxyHeader('192.0.2.50')
      const target = ports[`${PROXIED}-${protocol}`]!
      const port = await startForwarder(scene, { target, header, clientSpeaksFirst: true })
      await arriveAt('exact', protocol, port, 'exact.example.org')
      assert.equal((await endOf(`${PROXIED}-${protocol}`, '192.0.2.50')).backend, 'exact')
    })
  })

  describe(`tls: implicit with rules for some names, ${protocol},`, () => {
    const port = () => ports[`${MIXED}-${protocol}`]!

    test('carries those names unopened', async () => {
      await arriveAt('exact', protocol, port(), 'exact.example.org')
      await arriveAt('wildcard', protocol, port(), 'other.example.org')
    })

    for (const cut of CUTS)
      test(`serves the other names itself, the ClientHello ${cut.name}`, async () => {
        const through = await startForwarder(scene, { target: port(), clientSpeaksFirst: true, cut })
        const client = await open(protocol, through, 'mail.example.test')
        assert.match(client.greeting, /mailmux/)
        const { accepted, answer } = await client.login(USER, PASSWORD)
        assert.ok(accepted, answer)
        assert.deepEqual(await client.subjects(), [markerSubject('rest', USER)]) // where the routing file has the user
        await client.quit()
      })
  })
}

test('a store that is down ends the connection, and the log says why', async () => {
  await stores.exact.stop()
  const localAddress = '127.0.2.200'
  const peer = await connectPeer(scene, { port: ports[`${ALL}-imap`]!, localAddress })
  await assert.rejects(peer.startTls({ ca: authority.ca, servername: 'exact.example.org' }))
  const { cause, backend } = await endOf(`${ALL}-imap`, localAddress)
  assert.deepEqual({ cause, backend }, { cause: 'backend-refused', backend: 'exact' })
})
