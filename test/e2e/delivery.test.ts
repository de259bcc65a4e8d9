/** Mail by a real Postfix to real stores: each message reaches the store of its user, and waits while the user is on hold. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { openScene } from '../support/scene.ts'
import { directoryConnected, PASSWORD } from '../support/site.ts'

const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'
/** Postfix remembers the answer for the recipient that it has looked up last for 30 s, also a temporary failure. */
const REMEMBERED_MS = 90_000

const scene = openScene()
let stores: Dovecot[]
let lmtpPorts: number[]
let redis: Redis
let mailmux: Mailmux
let postfix: Postfix

async function startStore(name: string, lmtp: number): Promise<Dovecot> {
  const extra = `protocols = imap pop3 lmtp
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${lmtp}
  }
}
`
  return startDovecot(scene, { name, users: { [ALICE]: PASSWORD, [BOB]: PASSWORD }, extra })
}

before(async () => {
  const certificate = await (await makeAuthority(scene.directory)).issue('mailmux')
  lmtpPorts = [await freePort(), await freePort()]
  stores = await Promise.all(lmtpPorts.map((port, index) => startStore(`store${index + 1}`, port)))
  scene.closeLater(async () => {
    await Promise.all(stores.map((store) => store.stop()))
  })
  redis = await startRedis(scene)
  await redis.command('HSET', `mailmux:user:${ALICE}`, 'backend', 'store1')
  await redis.command('HSET', `mailmux:user:${BOB}`, 'backend', 'store1')
  const port = await freePort()
  const backends = stores.map((store, index) => [
    store.name,
    // A name and an address: Postfix dials both as they are.
    { ...toBackend(store), host: index === 0 ? '127.0.0.1' : 'localhost', lmtp: lmtpPorts[index] ?? 0 },
  ])
  mailmux = await startMailmux(scene, {
    certificate,
    backends: Object.fromEntries(backends) as Record<string, ReturnType<typeof toBackend>>,
    directory: { redis: { url: redis.url, prefix: 'mailmux:', timeout: '500ms' } },
    settings: { workers: 2, delivery: { listen: `127.0.0.1:${port}` } },
  })
  await directoryConnected(mailmux)
  postfix = await startPostfix(scene, `127.0.0.1:${port}`)
})
after(() => scene.close())

/** The subjects of the messages that Postfix has delivered there. */
async function delivered(store: number): Promise<string[]> {
  const client = await openMailClient(scene, 'imap', stores[store]?.ports.imap ?? 0, 'clear', {})
  assert.ok((await client.login(ALICE, PASSWORD)).accepted)
  const subjects = await client.subjects()
  await client.quit()
  return subjects.filter((subject) => subject.startsWith('mail '))
}

const message = (subject: string): string => `Subject: mail ${subject}\nFrom: sender@example.net\n\nHello.\n`

async function lookedUp(reply: string | undefined): Promise<void> {
  let last: unknown
  await until(
    START_DEADLINE_MS,
    async () => {
      last = await postfix.lookup(ALICE).catch((error: unknown) => String(error))
      return last === reply || (reply !== undefined && String(last).includes(reply)) || undefined
    },
    () => `${ALICE} gets ${String(last)}, not ${String(reply)}`,
  )
}

/** The queue manager of Postfix remembers the transport of the recipient that it has looked up last, and of no other. */
async function lookUpAnother(subject: string): Promise<void> {
  postfix.send(BOB, message(subject))
  await nothingWaitsFor(BOB)
}

async function nothingWaitsFor(user: string): Promise<void> {
  let log = ''
  await until(
    REMEMBERED_MS,
    async () => {
      log = await postfix.log()
      const waiting = (await postfix.queue()).filter(({ recipients }) =>
        recipients.some(({ address }) => address === user),
      )
      // After an outage of Redis one worker may answer, and the other not yet: Postfix then puts the message back.
      for (const { queue_id: id } of waiting) postfix.flush(id)
      return waiting.length === 0 || undefined
    },
    () => `mail waits for ${user}:\n${log}`,
  )
}

/** A flush leaves out a message that the queue manager is just putting back, so it is repeated. */
async function flushUntilDelivered(store: number, subject: string): Promise<void> {
  let log = ''
  await lookUpAnother(`to bob before ${subject}`)
  await until(
    REMEMBERED_MS,
    async () => {
      postfix.flush()
      log = await postfix.log()
      return (await delivered(store)).includes(subject) || undefined
    },
    () => `"${subject}" does not arrive:\n${log}`,
  )
  await nothingWaitsFor(ALICE)
}

test('the lookup of a user gives the LMTP address of the store, and that of an unknown user gives nothing', async () => {
  assert.equal(await postfix.lookup(ALICE), `lmtp:inet:127.0.0.1:${lmtpPorts[0] ?? 0}`)
  assert.equal(await postfix.lookup('Alice+news@EXAMPLE.test'), `lmtp:inet:127.0.0.1:${lmtpPorts[0] ?? 0}`)
  assert.equal(await postfix.lookup('nobody@example.test'), undefined)
  assert.equal(await postfix.lookup('example.test'), undefined)
})

test('mail for a user on hold waits, and is delivered once, to the store of the new route', async () => {
  postfix.send(ALICE, message('before'))
  await postfix.waitForLog(/to=<alice@example\.test>.*status=sent/)
  assert.deepEqual(await delivered(0), ['mail before'])
  await lookUpAnother('to bob')

  await redis.command('HSET', `mailmux:user:${ALICE}`, 'status', 'hold')
  await lookedUp('user is being moved')
  postfix.send(ALICE, message('meanwhile'))
  await postfix.waitForLog(/to=<alice@example\.test>.*status=deferred/)
  postfix.flush()
  assert.equal((await postfix.queue()).length, 1)
  assert.deepEqual(await delivered(0), ['mail before'])
  await lookUpAnother('to bob')

  await redis.command('HSET', `mailmux:user:${ALICE}`, 'backend', 'store2', 'status', 'active')
  await lookedUp(`lmtp:inet:localhost:${lmtpPorts[1] ?? 0}`)
  await flushUntilDelivered(1, 'mail meanwhile')
  assert.deepEqual(await delivered(1), ['mail meanwhile'])
  assert.deepEqual(await delivered(0), ['mail before'])
})

test('mail waits while Redis is away, though the route is remembered', async () => {
  await lookUpAnother('to bob again')
  redis.pause()
  // Postfix keeps its connection to one worker. A worker answers by the remembered route until it sees the outage itself.
  for (const worker of [1, 2]) {
    await mailmux.waitForLog(
      (line) => line.msg === 'directory unavailable' && line.worker === worker,
      `worker ${worker} sees the outage`,
    )
  }
  await lookedUp('directory unavailable')
  postfix.send(ALICE, message('outage'))
  let log = ''
  await until(
    START_DEADLINE_MS,
    async () => {
      log = await postfix.log()
      return (await postfix.queue()).some(({ recipients }) => recipients[0]?.delay_reason !== undefined) || undefined
    },
    () => `the message is not deferred:\n${log}`,
  )
  redis.resume()
  await lookedUp(`lmtp:inet:localhost:${lmtpPorts[1] ?? 0}`)
  await flushUntilDelivered(1, 'mail outage')
  assert.deepEqual(await delivered(1), ['mail meanwhile', 'mail outage'])
})

test('counts the lookups of both workers', async () => {
  assert.ok(((await mailmux.metric('mailmux_delivery_lookups_total{outcome="hold"}')) ?? 0) > 0)
  assert.ok(((await mailmux.metric('mailmux_delivery_lookups_total{outcome="found"}')) ?? 0) > 0)
})
