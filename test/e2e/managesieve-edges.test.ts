/** ManageSieve where several workers serve it: PROXY headers in and out, TLS from the first byte on both legs, TLS that is passed through, and a stop during an upload. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { once } from 'node:events'
import { type Authority, makeAuthority } from '../support/certificates.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { type Mailmux, startMailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer, type PeerTls, type ScriptedPeer } from '../support/scripted-peer.ts'

const PASSWORD = 'secret'
const USERS = { header: 'header@example.test', implicit: 'implicit@example.test', clear: 'clear@example.test' }

let scene: Scene
let authority: Authority
let store: Dovecot
let mailmux: Mailmux
let ports: Record<'behind' | 'implicit' | 'through', number>
before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  const own = { header: await freePort(), implicit: await freePort() }
  store = await startDovecot(scene, {
    name: 'store',
    users: Object.fromEntries(Object.values(USERS).map((user) => [user, PASSWORD])),
    certificate: await authority.issue('store', { names: ['DNS:store.example.test'] }),
    sieve: true,
    extra: `haproxy_trusted_networks = 127.0.0.0/8
service managesieve-login {
  inet_listener sieve-header {
    port = ${own.header}
    haproxy = yes
  }
  inet_listener sieve-implicit {
    port = ${own.implicit}
    ssl = yes
  }
}
`,
  })
  ports = { behind: await freePort(), implicit: await freePort(), through: await freePort() }
  const secured = { tls: 'implicit', tls_name: 'store.example.test', ca_file: authority.caFile }
  mailmux = await startMailmux(scene, {
    settings: { workers: 2 },
    certificate: await authority.issue('mailmux', { names: ['DNS:mail.example.test'] }),
    listeners: [
      {
        name: 'behind',
        protocol: 'managesieve',
        listen: `127.0.0.1:${ports.behind}`,
        tls: 'none',
        allow_plaintext_auth: true,
        proxy_protocol: 'required',
        trusted_proxies: ['127.0.0.1'],
      },
      { name: 'implicit', protocol: 'managesieve', listen: `127.0.0.1:${ports.implicit}`, tls: 'implicit' },
      {
        name: 'through',
        protocol: 'managesieve',
        listen: `127.0.0.1:${ports.through}`,
        tls: 'passthrough',
        passthrough: { 'store.example.test': 'implicit' },
      },
    ],
    backends: {
      header: { host: '127.0.0.1', managesieve: own.header, proxy_protocol: 'v2' },
      implicit: { host: '127.0.0.1', managesieve: own.implicit, ...secured },
      clear: { host: '127.0.0.1', managesieve: store.ports.managesieve ?? 0 },
    },
    users: { [USERS.header]: 'header', [USERS.implicit]: 'implicit', [USERS.clear]: 'clear' },
  })
})
after(() => scene.close())

const tlsTo = (servername: string): PeerTls => ({ ca: authority.ca, servername })

async function logIn(peer: ScriptedPeer, user: string): Promise<void> {
  const response = Buffer.from(`\0${user}\0${PASSWORD}`).toString('base64')
  await peer.ask(`AUTHENTICATE "PLAIN" "${response}"`, /^OK/)
}

async function list(peer: ScriptedPeer): Promise<void> {
  peer.send('LISTSCRIPTS')
  await peer.expectUntil(/^OK/)
  peer.send('LOGOUT')
  await peer.expect(/^OK/)
  await peer.expectClose()
}

test('takes the address of a PROXY header, and sends it to the back end in another', async () => {
  const peer = await connectPeer(scene, { port: ports.behind })
  peer.sendRaw('PROXY TCP4 192.0.2.7 198.51.100.1 4711 4190\r\n')
  await peer.expectUntil(/^OK/)
  await logIn(peer, USERS.header)
  await list(peer)
  assert.match(store.log(), /managesieve-login: Info: Login: user=<header@example\.test>.*rip=192\.0\.2\.7/)
})

test('speaks TLS from the first byte on both legs', async () => {
  const peer = await connectPeer(scene, { port: ports.implicit }, tlsTo('mail.example.test'))
  await peer.expectUntil(/^OK/)
  await logIn(peer, USERS.implicit)
  await list(peer)
})

for (const [protocols, wanted] of [
  [['imap'], 'error'],
  [['imap', 'managesieve'], 'managesieve'],
] as const) {
  test(`to a client that names ${protocols.join(' and ')} by ALPN: ${wanted}`, async () => {
    const socket: TLSSocket = connectTls({
      port: ports.implicit,
      host: '127.0.0.1',
      ca: authority.ca,
      servername: 'mail.example.test',
      ALPNProtocols: [...protocols],
    })
    const outcome = await Promise.race([
      once(socket, 'secureConnect').then(() => socket.alpnProtocol),
      once(socket, 'error').then(
        () => 'error',
        () => 'error',
      ),
    ]).catch(() => 'error')
    socket.destroy()
    assert.equal(outcome, wanted)
  })
}

test('passes TLS through to the store', async () => {
  const peer = await connectPeer(scene, { port: ports.through }, tlsTo('store.example.test'))
  await peer.expectUntil(/^OK "store ready/)
  await logIn(peer, USERS.clear)
  await list(peer)
})

test('lets an upload and the commands behind it finish at a stop, and ends a session whose upload was refused early', async () => {
  const peer = await connectPeer(scene, { port: ports.implicit }, tlsTo('mail.example.test'))
  await peer.expectUntil(/^OK/)
  await logIn(peer, USERS.clear)
  const script = `# ${'x'.repeat(300_000)}\r\nkeep;\r\n`
  peer.send('NOOP')
  await peer.expect(/^OK/)
  peer.sendRaw(`PUTSCRIPT "main" {${script.length}+}\r\n${script.slice(0, 200_000)}`)
  // Dovecot refuses a script of more than a megabyte at its announcement, and reads it all the same.
  const refused = await connectPeer(scene, { port: ports.implicit }, tlsTo('mail.example.test'))
  await refused.expectUntil(/^OK/)
  await logIn(refused, USERS.clear)
  refused.send(`PUTSCRIPT "large" {2000000+}`)
  await refused.expect(/^NO \(QUOTA/)
  refused.send('x'.repeat(2_000_000))
  await refused.ask('NOOP', /^OK/)
  const stopped = mailmux.stop()
  await refused.expect(/^BYE \(TRYLATER\)/)
  await mailmux.waitForLog(({ msg }) => /shut|stop/.test(msg), 'the stop')
  peer.sendRaw(`${script.slice(200_000)}\r\nSETACTIVE "main"\r\n`)
  await peer.expect(/^OK/)
  await peer.expect(/^OK/)
  await peer.expect(/^BYE \(TRYLATER\)/)
  await peer.expectClose()
  await stopped
})
