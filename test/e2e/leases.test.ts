/** The limits of a back end hold for all workers together: none is of no use to a client because another worker has a part of it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startDovecot } from '../support/dovecot.ts'
import { startHoldingStore, type HoldingStore } from '../support/holding-store.ts'
import { openMailClient, type MailClient, type MailProtocol } from '../support/mail-client.ts'
import { startMailmux, toBackend, type Mailmux } from '../support/mailmux.ts'
import { openScene, type Scene } from '../support/scene.ts'

const WORKERS = 4
const SESSIONS = 6
const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']

/** The ports in clear are used alone. */
const NO_TLS = { ca: '', servername: 'mail.example.test' }

let scene: Scene
let mailmux: Mailmux
const held = new Map<MailProtocol, HoldingStore>()

before(async () => {
  scene = openScene()
  const users = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`u${index}@dovecot.test`, 'secret']))
  const dovecot = await startDovecot(scene, { name: 'dovecot', users })
  for (const protocol of PROTOCOLS) held.set(protocol, await startHoldingStore(scene, protocol))
  const hold = (protocol: MailProtocol) => ({
    host: '127.0.0.1',
    [protocol]: held.get(protocol)?.port ?? 0,
    limits: { logins: 5, queue_timeout: '10s' },
  })
  const authority = await makeAuthority(scene.directory)
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    settings: { workers: WORKERS },
    backends: {
      dovecot: { ...toBackend(dovecot), limits: { sessions: SESSIONS, queue_timeout: '2s' } },
      hold: { ...hold('imap'), ...hold('pop3') },
    },
    domains: { 'dovecot.test': 'dovecot', 'hold.test': 'hold' },
    limits: { backend_timeout: '20s', failure_delay: '0s' },
  })
})
after(() => scene.close())

let addresses = 0
/** Each client has an address of its own: one address has a part of a limit alone. */
async function open(protocol: MailProtocol): Promise<MailClient> {
  const port = mailmux.ports[protocol === 'imap' ? 'imapClear' : 'pop3Clear']
  return openMailClient(scene, protocol, { port, localAddress: `127.0.1.${++addresses}` }, 'clear', NO_TLS)
}

async function logIn(protocol: MailProtocol, index: number): Promise<{ client: MailClient; accepted: boolean }> {
  const client = await open(protocol)
  return { client, accepted: (await client.login(`u${index}@dovecot.test`, 'secret')).accepted }
}

async function sessionsAre(count: number): Promise<void> {
  const series = PROTOCOLS.map((protocol) => `mailmux_sessions{protocol="${protocol}",backend="dovecot"}`)
  const read = async () => (await Promise.all(series.map((one) => mailmux.metric(one)))).map((value) => value ?? 0)
  await until(
    START_DEADLINE_MS,
    async () => ((await read()).reduce((a, b) => a + b) === count ? true : undefined),
    () => `there are not ${count} sessions`,
  )
}

for (const protocol of PROTOCOLS)
  test(`${protocol}: as many sessions as configured, whichever workers they come to, and not one more`, async () => {
    const all = await Promise.all(Array.from({ length: SESSIONS }, (_, index) => logIn(protocol, index)))
    assert.deepEqual(
      all.map(({ accepted }) => accepted),
      Array<boolean>(SESSIONS).fill(true),
    )
    const more = await Promise.all(Array.from({ length: 4 }, (_, index) => logIn(protocol, SESSIONS + index)))
    assert.deepEqual(
      more.map(({ accepted }) => accepted),
      [false, false, false, false],
    )
    await sessionsAre(SESSIONS)
    // One goes, and one of those that wait is let in, in whatever worker.
    const late = await open(protocol)
    const waiting = late.login('u19@dovecot.test', 'secret')
    await all[0]?.client.quit()
    assert.equal((await waiting).accepted, true)
    await Promise.all([late, ...all.slice(1).map(({ client }) => client)].map((client) => client.quit()))
    for (const { client } of more) client.peer.destroy()
    await sessionsAre(0)
  })

for (const protocol of PROTOCOLS)
  test(`${protocol}: as many logins under way as configured, and all of them in the end`, async () => {
    const store = held.get(protocol)
    assert.ok(store)
    const clients = await Promise.all(Array.from({ length: 20 }, () => open(protocol)))
    const answers = clients.map((client, index) => client.login(`u${index}@hold.test`, 'secret'))
    for (let done = 0; done < 20; done++) {
      await store.came(Math.min(20, done + 5))
      assert.ok(store.logins.length - done <= 5, `${store.logins.length - done} logins under way`)
      store.logins[done]?.accept()
    }
    assert.ok((await Promise.all(answers)).every(({ accepted }) => accepted))
    for (const { peer } of clients) peer.destroy()
  })

test('the sessions of a worker that has died are free for others', async () => {
  const all = await Promise.all(Array.from({ length: SESSIONS }, (_, index) => logIn('imap', index)))
  assert.ok(all.every(({ accepted }) => accepted))
  const api = `http://127.0.0.1:${mailmux.ports.admin}/api/v1/sessions?backend=dovecot`
  const { sessions } = (await (await fetch(api)).json()) as { sessions: { worker: number }[] }
  const counts = Array.from({ length: WORKERS }, (_, index) => sessions.filter(({ worker }) => worker === index + 1))
  const victim = counts.findIndex(({ length }) => length > 0)
  const lost = counts[victim]?.length ?? 0
  const serves = mailmux.log().find((line) => line.msg === 'worker serves' && line.worker === victim + 1)
  process.kill(Number(serves?.pid), 'SIGKILL')
  await sessionsAre(SESSIONS - lost)
  const again = await Promise.all(Array.from({ length: lost + 1 }, (_, index) => logIn('imap', 10 + index)))
  assert.equal(again.filter(({ accepted }) => accepted).length, lost)
  for (const { client } of [...all, ...again]) client.peer.destroy()
  await sessionsAre(0)
})

test('the API reports the limits as they are configured', async () => {
  const api = `http://127.0.0.1:${mailmux.ports.admin}/api/v1/backends`
  const { backends } = (await (await fetch(api)).json()) as {
    backends: { name: string; load: { limits: { sessions?: number; logins: number } } }[]
  }
  assert.deepEqual(
    backends.map(({ name, load: { limits } }) => [name, limits.sessions, limits.logins]),
    [
      ['dovecot', SESSIONS, 1000],
      ['hold', undefined, 5],
    ],
  )
})
