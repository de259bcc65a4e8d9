import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RouteCacheSettings } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import type { DirectoryEntry } from '../../../src/routing/directory.ts'
import { createRouteCache } from '../../../src/routing/route-cache.ts'

const SETTINGS: RouteCacheSettings = { maxEntries: 3, lifetimeMs: 1000, negativeLifetimeMs: 100, maxStaleMs: 5000 }
const AWAY = new MuxError('directory-unavailable', 'away')

const at = (backend: string): DirectoryEntry => ({ backend, login: undefined, status: 'active' })

/** A store whose answers wait until they are let go, a clock that stands, and a cache of both. */
function openCache(settings: Partial<RouteCacheSettings> = {}) {
  const waiting: { user: string; answer: (entry: DirectoryEntry | undefined) => void; fail: (error: Error) => void }[] =
    []
  const clock = { nowMs: 0 }
  const cache = createRouteCache(
    (user) => new Promise((answer, fail) => waiting.push({ user, answer, fail })),
    { ...SETTINGS, ...settings },
    () => clock.nowMs,
  )
  cache.startTrusting()
  /** Looks a user up; the store is asked, and answers so. */
  const lookup = (user: string, answer: DirectoryEntry | undefined | Error) => {
    const found = cache.lookup(user)
    const question = waiting.shift()
    assert.ok(question, 'the store was not asked')
    assert.equal(question.user, user)
    if (answer instanceof Error) question.fail(answer)
    else question.answer(answer)
    return found
  }
  return { cache, clock, waiting, lookup }
}

test('asks for a user once, and knows the route from then on', async () => {
  const { cache, waiting, lookup } = openCache()
  assert.deepEqual(await lookup('alice', at('store1')), { entry: at('store1'), source: 'directory' })
  assert.deepEqual(await cache.lookup('alice'), { entry: at('store1'), source: 'cache' })
  assert.equal(waiting.length, 0)
})

test('asks once for all who wait for the same user', async () => {
  const { cache, waiting } = openCache()
  const all = [cache.lookup('alice'), cache.lookup('alice'), cache.lookup('alice')]
  assert.equal(waiting.length, 1)
  waiting[0]?.answer(at('store1'))
  for (const found of await Promise.all(all)) assert.deepEqual(found.entry, at('store1'))
})

test('forgets a route that has changed, and asks', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.change('alice')
  assert.deepEqual(await lookup('alice', at('store2')), { entry: at('store2'), source: 'directory' })
})

test('forgets every route when any may have changed', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  await lookup('bob', at('store1'))
  cache.change(undefined)
  assert.equal((await lookup('alice', undefined)).source, 'directory')
  assert.equal((await lookup('bob', at('store1'))).source, 'directory')
})

test('keeps no answer that a change has overtaken', async () => {
  const { cache, waiting, lookup } = openCache()
  const old = cache.lookup('alice')
  cache.change('alice')
  const fresh = cache.lookup('alice')
  assert.equal(waiting.length, 2, 'a lookup after the change waits for no answer from before it')
  waiting[1]?.answer(at('store2'))
  waiting[0]?.answer(at('store1'))
  assert.deepEqual((await old).entry, at('store1'))
  assert.deepEqual((await fresh).entry, at('store2'))
  assert.deepEqual(await cache.lookup('alice'), { entry: at('store2'), source: 'cache' })
  waiting.length = 0
  cache.change('alice')
  assert.equal((await lookup('alice', at('store3'))).source, 'directory')
})

test('trusts nothing while changes may be missed, nor what is from before, until it has compared', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.stopTrusting()
  assert.deepEqual(await lookup('alice', at('store2')), { entry: at('store2'), source: 'directory' })
  cache.startTrusting()
  assert.deepEqual(await lookup('alice', at('store3')), { entry: at('store3'), source: 'directory' })
  assert.equal((await cache.lookup('alice')).source, 'cache')
})

test('lets the last known route stand in while the store is away, for so long and no longer', async () => {
  const { cache, clock, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.stopTrusting()
  clock.nowMs = 4999
  assert.deepEqual(await lookup('alice', AWAY), { entry: at('store1'), source: 'stale' })
  clock.nowMs = 5000
  await assert.rejects(lookup('alice', AWAY), AWAY)
})

test('sends nobody anywhere while the store is away and the user is not known', async () => {
  const { cache, lookup } = openCache()
  await assert.rejects(lookup('alice', AWAY), AWAY)
  await lookup('bob', undefined)
  cache.stopTrusting()
  await assert.rejects(lookup('bob', AWAY), AWAY, 'that nobody knew bob once says nothing about now')
})

test('lets no route stand in that is known to have changed', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.change('alice')
  await assert.rejects(lookup('alice', AWAY), AWAY)
})

test('lets no route stand in that changes while the store fails to answer', async () => {
  const { cache, waiting, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.doubt('alice')
  const found = cache.lookup('alice')
  cache.change('alice')
  waiting.shift()?.fail(AWAY)
  await assert.rejects(found, AWAY)
})

test('lets no route stand in for one that makes no sense', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.doubt('alice')
  const poisoned = new MuxError('route-invalid', 'poisoned')
  await assert.rejects(lookup('alice', poisoned), poisoned)
})

test('asks again for a route that a back end has refused, and lets it stand in if there is no answer', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.doubt('alice')
  assert.deepEqual(await lookup('alice', AWAY), { entry: at('store1'), source: 'stale' })
  assert.deepEqual(await lookup('alice', at('store1')), { entry: at('store1'), source: 'directory' })
  assert.equal((await cache.lookup('alice')).source, 'cache')
})

test('asks again when the lifetime is over, sooner for a user whom nobody knew', async () => {
  const { cache, clock, lookup } = openCache()
  await lookup('alice', at('store1'))
  await lookup('nobody', undefined)
  clock.nowMs = 99
  assert.equal((await cache.lookup('nobody')).source, 'cache')
  clock.nowMs = 100
  assert.equal((await lookup('nobody', undefined)).source, 'directory')
  clock.nowMs = 999
  assert.equal((await cache.lookup('alice')).source, 'cache')
  clock.nowMs = 1000
  assert.equal((await lookup('alice', at('store1'))).source, 'directory')
})

test('remembers no more users than it may', async () => {
  const { lookup } = openCache()
  for (const user of ['a', 'b', 'c', 'd']) await lookup(user, at('store1'))
  assert.equal((await lookup('a', at('store1'))).source, 'directory')
})
