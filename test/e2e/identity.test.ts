/** The identity of the client at its store: ID and XCLIENT, read from the log of Dovecot; and loops of two mailmux. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Authority, makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { type MailClient, type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { listenPeer, type PeerTls, type ScriptedPeer, type ScriptedServer } from '../support/scripted-peer.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const PASSWORD = 'secret'
/** Loopback has 16 million addresses: this one is the client's alone, mailmux speaks from 127.0.0.1. */
const CLIENT_ADDRESS = '127.0.0.2'

/** user name to the kind of store that it lives on */
const TRUSTING = 'trusted@example.test'
const DISTRUSTING = 'distrusted@example.test'
const SILENT = 'silent@example.test'

const LOG_FORMAT =
  'login_log_format_elements = user=<%u> method=%m rip=%r rport=%b lip=%l lport=%a %c session=<%{session}>'
const TRUST = 'login_trusted_networks = 127.0.0.0/8'

/** The line that Dovecot has written about a user's login, which may come a moment after its answer. */
async function loginLine(store: Dovecot, protocol: MailProtocol, user: string): Promise<string> {
  const pattern = new RegExp(`^.*${protocol}-login: Info: Login: user=<${user}>.*$`, 'gm')
  return until(
    START_DEADLINE_MS,
    () => store.log().match(pattern)?.at(-1),
    () => `${store.name} has logged no login of ${user}:\n${store.log()}`,
  )
}

describe('a store', () => {
  let scene: Scene
  let tls: PeerTls
  let store: Record<'trusting' | 'distrusting', Dovecot>
  let mailmux: Mailmux
  before(async () => {
    scene = openScene()
    const authority = await makeAuthority(scene.directory)
    tls = { ca: authority.ca, servername: 'mail.example.test' }
    const start = (name: string, trust: string) => {
      const users = Object.fromEntries([TRUSTING, DISTRUSTING, SILENT].map((user) => [user, PASSWORD]))
      return startDovecot(scene, { name, users, extra: `${LOG_FORMAT}\n${trust}` })
    }
    const [trusting, distrusting] = await Promise.all([start('trusting', TRUST), start('distrusting', '')])
    store = { trusting, distrusting }
    mailmux = await startMailmux(scene, {
      certificate: await authority.issue('mailmux'),
      backends: {
        trusting: toBackend(trusting),
        distrusting: toBackend(distrusting),
        silent: { ...toBackend(trusting), forward_identity: false },
      },
      users: { [TRUSTING]: 'trusting', [DISTRUSTING]: 'distrusting', [SILENT]: 'silent' },
    })
  })
  after(() => scene.close())

  const open = (protocol: MailProtocol) => {
    const address = { port: mailmux.ports[protocol], localAddress: CLIENT_ADDRESS }
    return openMailClient(scene, protocol, address, 'starttls', tls)
  }
  async function logIn(client: MailClient, user: string): Promise<{ port: number; session: string }> {
    const port = client.peer.socket.localPort!
    const { accepted, answer } = await client.login(user, PASSWORD)
    assert.ok(accepted, answer)
    await client.quit()
    const ended = await mailmux.waitForLog(
      (line) =>
        line.msg === 'session ended' && line['user'] === user && line['listener'] === `${client.protocol}-starttls`,
      `the end of ${user}'s session`,
    )
    assert.equal(ended['client'], CLIENT_ADDRESS)
    return { port, session: String(ended['session']) }
  }

  for (const protocol of PROTOCOLS) {
    test(`that trusts mailmux logs the client's own address, port and session, and where it came to (${protocol})`, async () => {
      const { port, session } = await logIn(await open(protocol), TRUSTING)
      const line = await loginLine(store.trusting, protocol, TRUSTING)
      assert.ok(line.includes(` rip=${CLIENT_ADDRESS}, rport=${port}, `), line)
      // where the client came to: Dovecot 2.3 takes it from ID, and has no word for it in XCLIENT
      const localPort = protocol === 'imap' ? mailmux.ports.imap : store.trusting.ports.pop3
      assert.ok(line.includes(` lip=127.0.0.1, lport=${localPort}, `), line)
      assert.ok(line.includes(` session=<${session}>`), line)
    })

    test(`that does not trust mailmux logs mailmux (${protocol})`, async () => {
      const { port, session } = await logIn(await open(protocol), DISTRUSTING)
      const line = await loginLine(store.distrusting, protocol, DISTRUSTING)
      assert.ok(line.includes(' rip=127.0.0.1, '), line)
      assert.ok(!line.includes(CLIENT_ADDRESS) && !line.includes(`rport=${port},`) && !line.includes(session), line)
    })

    test(`without forward_identity logs the address of mailmux, although it trusts mailmux (${protocol})`, async () => {
      const { port, session } = await logIn(await open(protocol), SILENT)
      const line = await loginLine(store.trusting, protocol, SILENT)
      assert.ok(line.includes(' rip=127.0.0.1, '), line)
      assert.ok(!line.includes(CLIENT_ADDRESS) && !line.includes(`rport=${port},`) && !line.includes(session), line)
    })
  }

  test('ignores another address that the client claims', async () => {
    const client = await open('imap')
    await client.peer.ask('i ID ("name" "liar" "x-originating-ip" "192.0.2.66" "x-session-id" "forged")', /^\* ID /)
    await client.peer.expect(/^i OK/)
    await logIn(client, TRUSTING)
    const line = await loginLine(store.trusting, 'imap', TRUSTING)
    assert.ok(line.includes(` rip=${CLIENT_ADDRESS}, `), line)
    assert.doesNotMatch(store.trusting.log(), /192\.0\.2\.66|forged/)
  })
})

describe('a scripted IMAP store', () => {
  let scene: Scene
  let tls: PeerTls
  let backend: ScriptedServer
  let mailmux: Mailmux
  before(async () => {
    scene = openScene()
    const authority = await makeAuthority(scene.directory)
    tls = { ca: authority.ca, servername: 'mail.example.test' }
    backend = await listenPeer(scene)
    const probed = meet().then((peer) => peer.expect('L LOGOUT'))
    mailmux = await startMailmux(scene, {
      certificate: await authority.issue('mailmux'),
      backends: { scripted: { host: '127.0.0.1', imap: backend.port, health: { check: 'none' } } },
      users: { [TRUSTING]: 'scripted' },
    })
    await probed
  })
  after(() => scene.close())

  async function meet(): Promise<ScriptedPeer> {
    const peer = await backend.accept()
    peer.send('* OK [CAPABILITY IMAP4rev1 SASL-IR ID AUTH=PLAIN] ready')
    return peer
  }
  const open = () =>
    openMailClient(scene, 'imap', { port: mailmux.ports.imap, localAddress: CLIENT_ADDRESS }, 'starttls', tls)

  /** Logs in after this ID of the client. @returns the pairs that the store gets */
  async function pairsAfter(id: string): Promise<Map<string, string>> {
    const client = await open()
    await client.peer.ask(`i ID ${id}`, /^\* ID /)
    await client.peer.expect(/^i OK/)
    const answered = client.login(TRUSTING, PASSWORD)
    const peer = await meet()
    const told = await peer.expect(/^I ID \(/)
    await peer.expect(/^A AUTHENTICATE PLAIN /)
    peer.send('A OK [CAPABILITY IMAP4rev1] in')
    assert.ok((await answered).accepted)
    client.peer.destroy()
    peer.destroy()
    const texts = [...told.matchAll(/"([^"]*)"/g)].map(([, text = '']) => text)
    return new Map(texts.flatMap((text, at) => (at % 2 === 0 ? [[text, texts[at + 1]!] as const] : [])))
  }

  test('gets the ID pairs of the client, except those that are for proxies', async () => {
    const pairs = await pairsAfter(
      '("name" "Thunderbird" "version" "140" "x-originating-ip" "192.0.2.66" "X-Forward" "y" "x-mine" "z")',
    )
    assert.equal(pairs.get('name'), 'Thunderbird')
    assert.equal(pairs.get('version'), '140')
    assert.equal(pairs.get('x-originating-ip'), CLIENT_ADDRESS)
    assert.equal(pairs.get('x-connected-ip'), '127.0.0.1')
    assert.equal(pairs.get('x-connected-name'), 'mail.example.test')
    assert.equal(pairs.get('x-client-transport'), 'TLS')
    for (const key of ['X-Forward', 'x-forward', 'x-mine']) assert.ok(!pairs.has(key), key)
  })

  test('gets the number of further proxies, one fewer than the client sent', async () => {
    const first = Number((await pairsAfter('NIL')).get('x-proxy-ttl'))
    assert.ok(first > 1 && first < 10)
    assert.equal(Number((await pairsAfter('("x-proxy-ttl" "3")')).get('x-proxy-ttl')), 2)
    assert.equal(Number((await pairsAfter('("x-proxy-ttl" "999")')).get('x-proxy-ttl')), first)
  })

  test('is not asked where no more proxies are allowed', async () => {
    const client = await open()
    await client.peer.ask('i ID ("x-proxy-ttl" "1")', /^\* ID /)
    await client.peer.expect(/^i OK/)
    const { answer } = await client.login(TRUSTING, PASSWORD)
    assert.match(answer, /^NO \[SERVERBUG\] /)
    await mailmux.waitForLog((line) => line['code'] === 'proxy-loop', 'the loop')
    client.peer.destroy()
  })
})

for (const protocol of PROTOCOLS) {
  describe(`two mailmuxes that lead to each other (${protocol})`, () => {
    let scenes: Scene[]
    let first: Mailmux
    let second: Mailmux
    before(async () => {
      scenes = [openScene(), openScene()]
      const authority = await makeAuthority(scenes[0]!.directory)
      const ports = [await freePort(), await freePort()]
      first = await startOne(authority, scenes[0]!, ports[0]!, ports[1]!)
      second = await startOne(authority, scenes[1]!, ports[1]!, ports[0]!)
    })
    after(async () => {
      for (const scene of scenes) await scene.close()
    })

    async function startOne(authority: Authority, scene: Scene, own: number, other: number): Promise<Mailmux> {
      const door: YamlMap = {
        name: 'circle',
        protocol,
        listen: `127.0.0.1:${own}`,
        tls: 'none',
        allow_plaintext_auth: true,
      }
      return startMailmux(scene, {
        certificate: await authority.issue('mailmux'),
        listeners: [door],
        backends: { other: { host: '127.0.0.1', [protocol]: other, health: { check: 'none' } } },
        users: { [TRUSTING]: 'other' },
        limits: { backend_timeout: '2s' },
      })
    }

    test('refuse the session after a few rounds, without blaming the password', async () => {
      const client = await openMailClient(scenes[0]!, protocol, first.ports[`${protocol}Clear`], 'clear', {})
      const { accepted, answer } = await client.login(TRUSTING, PASSWORD)
      assert.equal(accepted, false)
      assert.doesNotMatch(answer, /AUTHENTICATIONFAILED|\[AUTH\]/)
      await client.quit()
      const series = `mailmux_connections_total{protocol="${protocol}",listener="circle"}`
      const connections = ((await first.metric(series)) ?? 0) + ((await second.metric(series)) ?? 0)
      assert.ok(connections > 0 && connections <= 20, `${connections} connections out of one`)
      const lines = [...first.log(), ...second.log()]
      assert.ok(lines.some((line) => line['code'] === 'proxy-loop'))
    })
  })
}
