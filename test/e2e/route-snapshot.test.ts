/** Remembered routes on disk: a mailmux that starts while Redis is away serves the users of the snapshot only. */
import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Authority, type Leaf, makeAuthority } from '../support/certificates.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Dovecot, markerSubject, startDovecot } from '../support/dovecot.ts'
import { openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend } from '../support/mailmux.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { openScene } from '../support/scene.ts'
import { directoryConnected, HOMES, PASSWORD, USERS } from '../support/site.ts'

const scene = openScene()
const snapshot = join(scene.directory, 'routes.snapshot')
let authority: Authority
let certificate: Leaf
let stores: Dovecot[]
let redis: Redis

before(async () => {
  authority = await makeAuthority(scene.directory)
  certificate = await authority.issue('mailmux')
  const users = Object.fromEntries(USERS.map((user) => [user, PASSWORD]))
  stores = await Promise.all(['store1', 'store2', 'store3'].map((name) => startDovecot(scene, { name, users })))
  redis = await startRedis(scene, { durable: true })
  for (const [user, store] of Object.entries(HOMES)) await setRoute(user, store)
})
after(() => scene.close())

const setRoute = (user: string, store: string): Promise<string> =>
  redis.command('HSET', `mailmux:user:${user}`, 'backend', store)

const start = (prefix = 'mailmux:'): Promise<Mailmux> =>
  startMailmux(scene, {
    certificate,
    backends: Object.fromEntries(stores.map((store) => [store.name, toBackend(store)])),
    directory: { redis: { url: redis.url, prefix, snapshot_file: snapshot } },
    limits: { failure_delay: '0s' },
  })

/** Logs in by IMAP. @returns the store, by the marker message there, or the refusal */
async function storeOf(mailmux: Mailmux, user: string): Promise<string> {
  const client = await openMailClient(scene, 'imap', mailmux.ports.imapClear, 'clear', {})
  const { accepted, answer } = await client.login(user, PASSWORD)
  const subjects = accepted ? await client.subjects() : []
  client.peer.destroy()
  return stores.find(({ name }) => subjects.includes(markerSubject(name, user)))?.name ?? answer
}

const fromSnapshot = (mailmux: Mailmux): Promise<number | undefined> =>
  mailmux.metric('mailmux_route_lookups_total{source="snapshot"}')

test('writes the remembered routes at its stop, readable by the owner alone', async () => {
  const mailmux = await start()
  await directoryConnected(mailmux)
  assert.equal(await storeOf(mailmux, 'alice@example.test'), 'store1')
  assert.equal(await storeOf(mailmux, 'carol@example.test'), 'store3')
  // Until then a missing route does not count, so the later tests would wait for it.
  await until(
    START_DEADLINE_MS, // of which three seconds are the wait itself
    async () => (await redis.command('HGET', 'mailmux:marker', 'settled')) !== '' || undefined,
    () => 'the marker does not settle',
  )
  await mailmux.stop()
  assert.equal((await stat(snapshot)).mode & 0o777, 0o600)
  assert.match(await readFile(snapshot, 'utf8'), /"carol@example\.test","store3"/)
})

test('serves users of the snapshot when it starts while Redis is away, and the others get a temporary failure', async () => {
  await redis.stop()
  const mailmux = await start()
  await mailmux.waitForLog(
    ({ msg, routes }) => msg === 'known routes read from disk' && routes === 2,
    'two routes read',
  )
  assert.equal(await storeOf(mailmux, 'alice@example.test'), 'store1')
  assert.equal(await storeOf(mailmux, 'carol@example.test'), 'store3')
  assert.equal(await fromSnapshot(mailmux), 2)
  for (const user of ['bob@example.test', 'nobody@example.test'])
    assert.match(await storeOf(mailmux, user), /^NO \[UNAVAILABLE\]/)
  await mailmux.stop()
  assert.match(
    await readFile(snapshot, 'utf8'),
    /"carol@example\.test","store3"/,
    'nothing was learnt, nothing is lost',
  )
})

test('asks Redis for all that it knew as soon as it can, and brings no deleted route back', async () => {
  const mailmux = await start()
  assert.equal(await storeOf(mailmux, 'alice@example.test'), 'store1')
  await redis.restart()
  await redis.command('DEL', 'mailmux:user:carol@example.test') // while mailmux gets no reports of changes
  await setRoute('alice@example.test', 'store2')
  await directoryConnected(mailmux)
  await until(
    READ_DEADLINE_MS,
    async () =>
      // mailmux asks whether there is a key where a route has no fields: so it has asked for carol's, the last of them.
      Number(/cmdstat_exists:calls=(\d+)/.exec(await redis.command('INFO', 'commandstats'))?.[1]) >= 1 || undefined,
    () => 'Redis is not asked for the routes of the snapshot',
  )
  await redis.stop()
  assert.match(await storeOf(mailmux, 'carol@example.test'), /^NO \[UNAVAILABLE\]/)
  assert.equal(await storeOf(mailmux, 'alice@example.test'), 'store2')
  await mailmux.stop()
  const left = await readFile(snapshot, 'utf8')
  assert.match(left, /"alice@example\.test","store2"/)
  assert.match(left, /"carol@example\.test","store3",\d+,null,"active","gone"/)
})

for (const [what, spoil, cause] of [
  ['cut short', (whole: Buffer) => whole.subarray(0, whole.length - 10), 'cut short'],
  ['changed', (whole: Buffer) => Buffer.from(whole.toString().replace('store2', 'store3')), 'cut short or changed'],
  ['garbage', () => Buffer.from('\0\0\0garbage\n'), 'cut short'],
] as const) {
  test(`starts with a file that is ${what}, uses none of its routes, and logs why`, async () => {
    const whole = await readFile(snapshot)
    await writeFile(snapshot, spoil(whole))
    const mailmux = await start()
    await mailmux.waitForLog(
      ({ msg, cause: told }) => msg === 'known routes on disk are refused' && told === cause,
      `a refusal: ${cause}`,
    )
    assert.match(await storeOf(mailmux, 'alice@example.test'), /^NO \[UNAVAILABLE\]/)
    await mailmux.stop()
    await writeFile(snapshot, whole)
  })
}

test('uses no file of another prefix', async () => {
  const mailmux = await start('other:')
  await mailmux.waitForLog(({ cause }) => cause === 'of another Redis or another prefix', 'a refusal')
  assert.match(await storeOf(mailmux, 'alice@example.test'), /^NO \[UNAVAILABLE\]/)
  await mailmux.stop()
})
