/** TLS to the back ends: which certificates are accepted, which one mailmux sends, and that bytes before TLS are refused. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { type Authority, type Leaf, makeAuthority } from '../support/certificates.ts'
import { READ_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Dovecot, markerSubject, startDovecot } from '../support/dovecot.ts'
import { type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend, type YamlMap } from '../support/mailmux.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { listenPeer, type ScriptedPeer, type ScriptedServer } from '../support/scripted-peer.ts'

const PASSWORD = 'secret'
const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const WAYS = ['starttls', 'implicit'] as const

const REPLIES = {
  later: /^NO \[UNAVAILABLE\] |^-ERR \[SYS\/TEMP\] /,
  broken: /^NO \[SERVERBUG\] |^-ERR \[SYS\/PERM\] /,
}

type Case = {
  what: string
  store: keyof typeof STORES
  backend: (facts: { authority: Authority; pin: string; otherPin: string; shown: Leaf }) => YamlMap
  /** the code in the log where it must not work */
  code?: 'backend-certificate' | 'backend-tls-failed' | 'backend-no-starttls'
}

/** Dovecots by what is odd about their certificates. */
const STORES = {
  good: {},
  expired: { days: -1 },
  demanding: {},
}

const trusting = { tls_name: 'mail.example.test' }
const CASES: Case[] = [
  {
    what: 'ca_file and the right name',
    store: 'good',
    backend: ({ authority: { caFile } }) => ({ ...trusting, ca_file: caFile }),
  },
  {
    what: 'another name',
    store: 'good',
    backend: ({ authority: { caFile } }) => ({ tls_name: 'other.example.test', ca_file: caFile }),
    code: 'backend-certificate',
  },
  { what: 'a CA that is not the one', store: 'good', backend: () => trusting, code: 'backend-certificate' },
  { what: 'verify: none', store: 'good', backend: () => ({ verify: 'none' }) },
  { what: 'verify: none, expired', store: 'expired', backend: () => ({ verify: 'none' }) },
  {
    what: 'an expired certificate',
    store: 'expired',
    backend: ({ authority: { caFile } }) => ({ ...trusting, ca_file: caFile }),
    code: 'backend-certificate',
  },
  { what: 'the right pin', store: 'good', backend: ({ pin }) => ({ ...trusting, pin_sha256: [pin] }) },
  {
    what: 'the right pin beside another',
    store: 'good',
    backend: ({ pin, otherPin }) => ({ ...trusting, pin_sha256: [otherPin, pin] }),
  },
  {
    what: 'a wrong pin',
    store: 'good',
    backend: ({ authority: { caFile }, otherPin }) => ({ ...trusting, ca_file: caFile, pin_sha256: [otherPin] }),
    code: 'backend-certificate',
  },
  {
    what: 'a wrong pin and verify: none',
    store: 'good',
    backend: ({ otherPin }) => ({ verify: 'none', pin_sha256: [otherPin] }),
    code: 'backend-certificate',
  },
  {
    what: 'a client certificate',
    store: 'demanding',
    backend: ({ authority: { caFile }, shown }) => ({
      ...trusting,
      ca_file: caFile,
      client_cert: shown.certFile,
      client_key: shown.keyFile,
    }),
  },
]

const userOf = (index: number, way: string) => `case${index}-${way}@example.test`
const USERS = [...CASES.keys(), CASES.length, CASES.length + 1].flatMap((index) =>
  WAYS.map((way) => userOf(index, way)),
)
/** Not in the table, as what Dovecot says to them is its own affair. */
const [CERTLESS, PLAIN] = [CASES.length, CASES.length + 1]

let scene: Scene
let authority: Authority
let stores: Record<keyof typeof STORES, Dovecot>
let mailmux: Mailmux
/** a scripted back end, without TLS until the script starts it */
let scripted: Record<MailProtocol, ScriptedServer>
let leaf: Leaf

before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  const users = Object.fromEntries(USERS.map((user) => [user, PASSWORD]))
  const certificates = {
    good: await authority.issue('good'),
    expired: await authority.issue('expired', STORES.expired),
    demanding: await authority.issue('demanding'),
  }
  const start = (name: keyof typeof STORES, extra = '') =>
    startDovecot(scene, { name, users, certificate: certificates[name], extra })
  const demand = `ssl_ca = <${authority.caFile}\nssl_require_crl = no\nssl_verify_client_cert = yes\nauth_ssl_require_client_cert = yes`
  const [good, expired, demanding] = await Promise.all([start('good'), start('expired'), start('demanding', demand)])
  stores = { good, expired, demanding }
  leaf = certificates.good
  scripted = { imap: await listenPeer(scene), pop3: await listenPeer(scene) }
  const probes = PROTOCOLS.map(async (protocol) => (await scripted[protocol].accept()).destroy())

  const facts = {
    authority,
    pin: fingerprint(leaf),
    otherPin: fingerprint(certificates.expired),
    shown: await authority.issue('mailmux-itself', { usage: 'clientAuth' }),
  }
  const backends: Record<string, YamlMap> = {}
  const routes: YamlMap = {}
  const add = (index: number, way: (typeof WAYS)[number], store: Dovecot, more: YamlMap) => {
    const { imap, pop3 } = toBackend(store, way, authority.caFile)
    backends[`case${index}-${way}`] = { host: '127.0.0.1', imap: imap!, pop3: pop3!, tls: way, ...more }
    routes[userOf(index, way)] = `case${index}-${way}`
  }
  for (const way of WAYS) {
    for (const [index, { store, backend }] of CASES.entries()) add(index, way, stores[store], backend(facts))
    add(CERTLESS, way, demanding, { ...trusting, ca_file: authority.caFile })
  }
  // implicit TLS to a port that speaks in clear
  add(PLAIN, 'implicit', good, { imap: good.ports.imap, pop3: good.ports.pop3, ...trusting, ca_file: authority.caFile })
  backends.scripted = {
    host: '127.0.0.1',
    imap: scripted.imap.port,
    pop3: scripted.pop3.port,
    health: { check: 'none' }, // the script is for logins
    tls: 'starttls',
    ...trusting,
    ca_file: authority.caFile,
  }
  routes['scripted@example.test'] = 'scripted'
  mailmux = await startMailmux(scene, { certificate: leaf, backends, users: routes })
  await Promise.all(probes)
})
after(() => scene.close())

function fingerprint({ cert }: Leaf): string {
  return new X509Certificate(cert).fingerprint256
}

async function open(protocol: MailProtocol) {
  return openMailClient(scene, protocol, mailmux.ports[protocol === 'imap' ? 'imapClear' : 'pop3Clear'], 'clear', {})
}

/** Logs in and must be refused; the log has the code. */
async function requireRefused(protocol: MailProtocol, user: string, code: string): Promise<void> {
  const client = await open(protocol)
  const { answer } = await client.login(user, PASSWORD)
  client.peer.destroy()
  const backend = user.split('@')[0]
  const line = await mailmux.waitForLog(
    ({ msg, ...one }) => msg === 'login refused' && one.user === user && one.listener === `${protocol}-none`,
    `${user} is refused by ${protocol}`,
  )
  assert.deepEqual({ code: line.code, backend: line.backend }, { code, backend })
  assert.match(answer, line.reason === 'unavailable' ? REPLIES.later : REPLIES.broken)
  for (const store of Object.values(stores)) assert.ok(!store.log().includes(`user=<${user}>`), 'the password was sent')
}

for (const way of WAYS)
  for (const protocol of PROTOCOLS)
    describe(`by ${way}, ${protocol},`, { concurrency: 4 }, () => {
      for (const [index, { what, store, code }] of CASES.entries())
        test(`${what}: ${code ?? 'it works'}`, async () => {
          const user = userOf(index, way)
          if (code !== undefined) return requireRefused(protocol, user, code)
          const client = await open(protocol)
          const { accepted, answer } = await client.login(user, PASSWORD)
          assert.ok(accepted, answer)
          assert.deepEqual(await client.subjects(), [markerSubject(store, user)])
          await client.quit()
          const line = new RegExp(`Login: user=<${user}>.* TLS`)
          const logged = () => line.test(stores[store].log()) || undefined
          await until(READ_DEADLINE_MS, logged, () => `no ${String(line)} in: ${stores[store].log()}`)
        })

      test('a store that wants a client certificate does not let mailmux in without one', async () => {
        const client = await open(protocol)
        const { accepted } = await client.login(userOf(CERTLESS, way), PASSWORD)
        assert.equal(accepted, false)
        client.peer.destroy()
      })
    })

for (const protocol of PROTOCOLS)
  test(`implicit TLS to a port in clear is an outage, and named in the log, ${protocol}`, () =>
    requireRefused(protocol, userOf(PLAIN, 'implicit'), 'backend-tls-failed'))

test('verify: none is warned of at the start, with its line, once for each', () => {
  const warned = mailmux
    .log()
    .filter(({ msg, warning }) => msg === 'configuration' && /an attacker that diverts/.test(String(warning)))
  const without = CASES.filter(({ what }) => what.startsWith('verify: none')).length * WAYS.length
  assert.equal(warned.length, without, JSON.stringify(warned))
  for (const { warning } of warned) assert.match(String(warning), /routing\.yaml:\d+:\d+: warning: /)
})

describe('a back end from a script', () => {
  const USER = 'scripted@example.test'
  const SCRIPTS = {
    imap: { go: 'S OK Begin', injected: '* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n' },
    pop3: { go: '+OK Begin', injected: '+OK\r\nSASL PLAIN\r\n.\r\n' },
  }

  /** Plays it up to where TLS should begin; in clear it promises what it will not do in TLS. */
  async function upToStartTls(protocol: MailProtocol): Promise<ScriptedPeer> {
    const peer = await scripted[protocol].accept()
    if (protocol === 'imap') {
      peer.send('* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED AUTH=PLAIN SASL-IR ID] ready')
      await peer.expect('S STARTTLS') // and no ID, which says who the client is
    } else {
      await peer.ask('+OK ready', 'CAPA')
      peer.sendRaw('+OK\r\nSTLS\r\nSASL PLAIN\r\n.\r\n')
      await peer.expect('STLS')
    }
    return peer
  }

  for (const protocol of PROTOCOLS) {
    const { go, injected } = SCRIPTS[protocol]

    // CVE-2011-0411 the other way round: answers smuggled in ahead of the handshake
    test(`that sends more without encryption after its go-ahead is refused, ${protocol}`, async () => {
      const refusal = requireRefused(protocol, USER, 'backend-bytes-before-tls')
      const peer = await upToStartTls(protocol)
      peer.sendRaw(`${go}\r\n${injected}`)
      await peer.expectClose() // not even a handshake
      await refusal
    })

    // RFC 9051 6.2.1, RFC 2595 4
    test(`is asked in TLS what it can do, and what it said in clear is forgotten, ${protocol}`, async () => {
      const client = await open(protocol)
      const outcome = client.login(USER, PASSWORD)
      const peer = await upToStartTls(protocol)
      peer.send(go)
      await peer.startTls(leaf)
      if (protocol === 'imap') {
        await peer.expect('C CAPABILITY')
        peer.sendRaw('* CAPABILITY IMAP4rev1\r\nC OK done\r\n')
        await peer.expect(`A LOGIN "${USER}" "${PASSWORD}"`)
        peer.send('A OK [CAPABILITY IMAP4rev1] in')
      } else {
        await peer.expect('CAPA')
        peer.sendRaw('+OK\r\nUSER\r\n.\r\n')
        await peer.expect(`USER ${USER}`)
        await peer.ask('+OK', `PASS ${PASSWORD}`)
        peer.send('+OK in')
      }
      assert.ok((await outcome).accepted)
      client.peer.destroy()
    })
  }
})
