/** A back end gets no more logins than its limits allow. Further logins wait in order, and are refused if that takes too long. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { makeAuthority } from '../support/certificates.ts'
import { until } from '../support/deadline.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { type HoldingStore, startHoldingStore } from '../support/holding-store.ts'
import { type MailClient, type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer, type PeerTls, type ScriptedPeer } from '../support/scripted-peer.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const BUSY = {
  imap: 'NO [UNAVAILABLE] Account is temporarily unavailable.',
  pop3: '-ERR [SYS/TEMP] Account is temporarily unavailable.',
}
/** Who a login is for is also the back end that it goes to: `logins-imap`, `rate-pop3` ... */
const LIMITS: Record<string, YamlMap> = {
  logins: { logins: 3 },
  order: { logins: 1 },
  queue: { logins: 1, queue_size: 1 },
  short: { logins: 1, queue_timeout: '300ms' },
  rate: { logins_per_second: 20 },
  patient: { logins: 1, queue_timeout: '15s' },
  stop: { logins: 1 },
}

let scene: Scene
let tls: PeerTls
let mailmux: Mailmux
let dovecot: Dovecot
let passthroughPort: number
const stores = new Map<string, HoldingStore>()

before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  tls = { ca: authority.ca, servername: 'mail.example.test' }
  const users = Object.fromEntries(['ann', 'ben', 'cid'].map((name) => [`${name}@dovecot.test`, 'secret']))
  dovecot = await startDovecot(scene, { name: 'dovecot', users, certificate: await authority.issue('store') })
  const backends: Record<string, YamlMap> = {
    // A back end of its own for what is passed through: its limits are not shared.
    dovecot: { ...toBackend(dovecot), limits: { sessions: 2, queue_timeout: '500ms' } },
    sealed: { ...toBackend(dovecot, 'implicit', authority.caFile), limits: { sessions: 1, queue_timeout: '500ms' } },
  }
  for (const [name, limits] of Object.entries(LIMITS)) {
    for (const protocol of PROTOCOLS) {
      const store = await startHoldingStore(scene, protocol)
      stores.set(`${name}-${protocol}`, store)
      backends[`${name}-${protocol}`] = { host: '127.0.0.1', [protocol]: store.port, limits }
    }
  }
  passthroughPort = await freePort()
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends,
    domains: Object.fromEntries(
      Object.keys(backends).map((name) => [name === 'dovecot' ? 'dovecot.test' : `${name}.test`, name]),
    ),
    limits: { backend_timeout: '20s', failure_delay: '0s' },
    listeners: [
      {
        name: 'sealed',
        protocol: 'imap',
        listen: [`127.0.0.1:${passthroughPort}`],
        tls: 'passthrough',
        passthrough: { '*': 'sealed' },
      },
    ],
  })
})
after(() => scene.close())

function storeOf(name: string): HoldingStore {
  const store = stores.get(name)
  if (!store) throw new Error(`no store ${name}`)
  return store
}

async function open(protocol: MailProtocol): Promise<MailClient> {
  const port = mailmux.ports[protocol === 'imap' ? 'imapClear' : 'pop3Clear']
  return openMailClient(scene, protocol, port, 'clear', tls)
}

/** A client that logs in at a back end, and the answer that it gets. */
async function knock(protocol: MailProtocol, user: string) {
  const client = await open(protocol)
  return { ...client, answer: client.login(user, 'secret') }
}

/** Waits until mailmux counts so much. */
async function counted(series: string, value: number): Promise<void> {
  await until(
    5_000,
    async () => ((await mailmux.metric(series)) === value ? true : undefined),
    () => `${series} is not ${value}`,
  )
}
const waiting = (backend: string, value: number) =>
  counted(`mailmux_backend_logins_waiting{backend="${backend}"}`, value)
const waits = (backend: string, limit: string, outcome: string, value: number) =>
  counted(`mailmux_login_waits_total{backend="${backend}",limit="${limit}",outcome="${outcome}"}`, value)

for (const protocol of PROTOCOLS) {
  describe(`${protocol}: logins under way`, () => {
    test('are never more than the limit at the back end, accepted and refused ones alike', async () => {
      const name = `logins-${protocol}`
      const store = storeOf(name)
      const clients = await Promise.all(Array.from({ length: 12 }, (_, i) => knock(protocol, `u${i}@${name}.test`)))
      await store.came(3)
      await waiting(name, 9)
      for (let i = 0; i < 12; i++) {
        const login = (await store.came(i + 1))[i]
        if (i % 3 === 0) login?.refuse()
        else login?.accept()
      }
      const accepted = (await Promise.all(clients.map(({ answer }) => answer))).filter((answer) => answer.accepted)
      assert.equal(accepted.length, 8)
      assert.equal(store.most(), 3)
      await waits(name, 'logins', 'admitted', 9)
      await counted(`mailmux_backend_logins{backend="${name}"}`, 0)
      const line = await mailmux.waitForLog(
        (entry) => entry.msg === 'limit of a back end reached' && entry.backend === name,
        'the limit that was reached',
      )
      assert.deepEqual([line.level, line.limit], ['warn', 'logins'])
    })

    test('that wait are let in in the order in which they came', async () => {
      const name = `order-${protocol}`
      const store = storeOf(name)
      const users = Array.from({ length: 6 }, (_, i) => `u${i}@${name}.test`)
      const answers: Promise<unknown>[] = []
      for (const [i, user] of users.entries()) {
        answers.push((await knock(protocol, user)).answer)
        await (i === 0 ? store.came(1) : waiting(name, i)) // the next comes when this one is in its place
      }
      for (const [i] of users.entries()) (await store.came(i + 1))[i]?.accept()
      await Promise.all(answers)
      assert.deepEqual(
        store.logins.map(({ user }) => user),
        users,
      )
    })

    test('free their place when their client leaves, while it waits and while it is in', async () => {
      const name = `queue-${protocol}`
      const store = storeOf(name)
      const inside = await knock(protocol, `in@${name}.test`)
      await store.came(1)
      const leaver = await knock(protocol, `leaver@${name}.test`)
      await waiting(name, 1)
      const full = await knock(protocol, `full@${name}.test`)
      assert.deepEqual(await full.answer, { accepted: false, answer: BUSY[protocol] })
      leaver.answer.catch(() => undefined)
      leaver.peer.destroy()
      await waits(name, 'logins', 'client-left', 1)
      const next = await knock(protocol, `next@${name}.test`)
      await waiting(name, 1)
      store.logins[0]?.accept()
      assert.equal((await inside.answer).accepted, true)
      ;(await store.came(2))[1]?.accept()
      assert.equal((await next.answer).accepted, true)
      assert.deepEqual(
        store.logins.map(({ user }) => user),
        [`in@${name}.test`, `next@${name}.test`],
      )
    })

    test('that have waited for too long get a temporary failure, and stay connected', async () => {
      const name = `short-${protocol}`
      const store = storeOf(name)
      await knock(protocol, `in@${name}.test`)
      await store.came(1)
      const client = await knock(protocol, `late@${name}.test`)
      assert.deepEqual(await client.answer, { accepted: false, answer: BUSY[protocol] })
      const line = await mailmux.waitForLog(
        (entry) => entry.msg === 'login refused' && entry.user === `late@${name}.test`,
        'the refusal',
      )
      assert.deepEqual([line.code, line.phase, line.reason], ['backend-busy', 'waiting', 'unavailable'])
      assert.equal(await mailmux.metric(`mailmux_backend_up{backend="${name}"}`), 1)
      store.logins[0]?.accept()
      const again = client.login(`late@${name}.test`, 'secret')
      ;(await store.came(2))[1]?.accept()
      assert.equal((await again).accepted, true)
    })
  })

  test(`${protocol}: logins begin at the rate, and all of them begin`, async () => {
    const name = `rate-${protocol}`
    const store = storeOf(name)
    const started = performance.now()
    const clients = await Promise.all(Array.from({ length: 30 }, (_, i) => knock(protocol, `u${i}@${name}.test`)))
    await store.came(30)
    // Two at once, then one each 50 ms: a slow machine makes it longer, nothing shorter.
    assert.ok(performance.now() - started >= 1390, `${performance.now() - started} ms`)
    for (const login of store.logins) login.accept()
    for (const { answer } of clients) assert.equal((await answer).accepted, true)
  })

  test(`${protocol}: sessions at a real store are never more than the limit, and an ended one lets the next in`, async () => {
    const [ann, ben, cid] = await Promise.all([open(protocol), open(protocol), open(protocol)])
    for (const [client, user] of [
      [ann, 'ann'],
      [ben, 'ben'],
    ] as const)
      assert.equal((await client.login(`${user}@dovecot.test`, 'secret')).accepted, true)
    assert.deepEqual(await cid.login('cid@dovecot.test', 'secret'), { accepted: false, answer: BUSY[protocol] })
    const third = cid.login('cid@dovecot.test', 'secret')
    await waiting('dovecot', 1)
    await ann.quit()
    assert.equal((await third).accepted, true)
    assert.deepEqual(await cid.subjects(), ['You are on dovecot, cid@dovecot.test'])
    await Promise.all([ben.quit(), cid.quit()])
  })
}

test('a session whose TLS is passed through takes a place too, and is closed where there is none in time', async () => {
  const connect = () => connectPeer(scene, { port: passthroughPort }, tls)
  const first = await connect()
  await first.expect(/^\* OK .*dovecot ready/)
  const turnedAway = connectTls({ port: passthroughPort, host: '127.0.0.1', ...tls })
  turnedAway.on('secureConnect', () => assert.fail('a second session'))
  turnedAway.on('error', () => undefined) // however the handshake fails
  await new Promise((resolve) => turnedAway.on('close', resolve))
  await waits('sealed', 'sessions', 'timed-out', 1)
  first.destroy()
  await counted('mailmux_sessions{protocol="imap",backend="sealed"}', 0)
  const second = await connect()
  await second.expect(/^\* OK .*dovecot ready/)
  second.destroy()
})

test('an IMAP client that waits hears of it every five seconds', async () => {
  const store = storeOf('patient-imap')
  await knock('imap', 'in@patient-imap.test')
  await store.came(1)
  const { peer } = await open('imap')
  peer.send('a LOGIN late@patient-imap.test secret')
  await peer.expect('* OK Still connecting to your mail store.', 8_000)
  store.logins[0]?.accept()
  ;(await store.came(2))[1]?.accept()
  await peer.expectUntil(/^a OK/)
})

test('a shutdown ends every wait at once with a goodbye alone', async () => {
  const inside: ScriptedPeer[] = []
  const waiters: ScriptedPeer[] = []
  const store = storeOf('stop-imap')
  for (const list of [inside, waiters]) {
    const { peer } = await open('imap')
    list.push(peer)
    peer.send('a LOGIN u@stop-imap.test secret')
    await (list === inside ? store.came(1) : waiting('stop-imap', 1))
  }
  mailmux.program.signal('SIGTERM')
  await waiters[0]?.expect('* BYE [UNAVAILABLE] Shutting down, please connect again.')
  store.logins[0]?.refuse()
  await inside[0]?.expect(/^a NO/)
  assert.deepEqual(await mailmux.program.exited, { code: 0, signal: null })
  assert.equal(store.logins.length, 1)
})
