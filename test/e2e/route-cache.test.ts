/** Remembered routes: current as long as Redis reports changes, and a stand-in while Redis is unavailable. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { markerSubject } from '../support/dovecot.ts'
import { directoryConnected, PASSWORD, type Site, startSite, type StoreName, STORES } from '../support/site.ts'

let site: Site
before(async () => {
  site = await startSite({ redis: true })
  await directoryConnected(site.mailmux)
})
after(() => site.close())

/** Logs in by IMAP. @returns the store, by the marker message there */
async function storeOf(user: string): Promise<string> {
  const client = await site.open('imap', 'starttls')
  const { accepted, answer } = await client.login(user, PASSWORD)
  const subjects = accepted ? await client.subjects() : []
  client.peer.destroy()
  return STORES.find((store) => subjects.includes(markerSubject(store, user))) ?? answer
}

/** How many lookups were answered from there so far. */
async function lookups(source: string): Promise<number> {
  const metrics = await site.mailmux.metrics()
  return Number(new RegExp(`^mailmux_route_lookups_total\\{source="${source}"\\} (\\d+)$`, 'm').exec(metrics)?.[1] ?? 0)
}

const setRoute = (user: string, store: StoreName): Promise<string> =>
  site.redis!.command('HSET', `mailmux:user:${user}`, 'backend', store)

test('answers a second login from memory', async () => {
  assert.equal(await storeOf('alice@example.test'), 'store1')
  const before = { cache: await lookups('cache'), directory: await lookups('directory') }
  assert.equal(await storeOf('alice@example.test'), 'store1')
  assert.deepEqual(
    { cache: await lookups('cache'), directory: await lookups('directory') },
    { ...before, cache: before.cache + 1 },
  )
})

test('uses a route that has changed for the next login', async () => {
  for (const store of ['store2', 'store3', 'store1'] as const) {
    await setRoute('alice@example.test', store)
    assert.equal(await storeOf('alice@example.test'), store)
  }
})

test('refuses a user whose route was deleted, at the next login', async () => {
  assert.equal(await storeOf('carol@example.test'), 'store3')
  await site.redis!.command('DEL', 'mailmux:user:carol@example.test')
  assert.match(await storeOf('carol@example.test'), /^NO \[AUTHENTICATIONFAILED\]/)
  await setRoute('carol@example.test', 'store3')
  assert.equal(await storeOf('carol@example.test'), 'store3')
})

test('sends users with a remembered route to their store while Redis is gone, and the others get a temporary failure', async () => {
  assert.equal(await storeOf('alice@example.test'), 'store1')
  await site.redis!.stop()
  assert.equal(await storeOf('alice@example.test'), 'store1')
  assert.match(await storeOf('bob@example.test'), /^NO \[UNAVAILABLE\]/)
  assert.ok((await lookups('stale')) >= 1)
  assert.match(await site.mailmux.metrics(), /^mailmux_directory_up 0$/m)
})

test('keeps every route over a restart of Redis without its data, and asks again once that is accepted', async () => {
  await site.redis!.restart()
  await setRoute('alice@example.test', 'store2')
  await site.mailmux.waitForLog(({ msg }) => msg === 'directory has lost its data', 'the loss')
  await setRoute('alice@example.test', 'store2') // now as a change in a directory whose loss is known
  assert.equal(await storeOf('alice@example.test'), 'store1')
  assert.match(await storeOf('bob@example.test'), /^NO \[UNAVAILABLE\]/)
  await site.redis!.command('HDEL', 'mailmux:marker', 'lost')
  await until(
    START_DEADLINE_MS,
    async () => (await storeOf('alice@example.test')) === 'store2' || undefined,
    () => 'the acceptance is not noticed',
  )
})

test('keeps every route when Redis is flushed, and asks for it once that is accepted', async () => {
  await site.redis!.command('FLUSHALL')
  assert.equal(await storeOf('alice@example.test'), 'store2')
  await site.redis!.command('HDEL', 'mailmux:marker', 'lost')
  await until(
    START_DEADLINE_MS,
    async () => /^NO \[AUTHENTICATIONFAILED\]/.test(await storeOf('alice@example.test')) || undefined,
    () => 'the acceptance is not noticed',
  )
})
