import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toEpochMs } from '../../../../src/clock.ts'
import type { RouteCacheSettings } from '../../../../src/config/settings.ts'
import { MuxError } from '../../../../src/errors.ts'
import { createRouteCache } from '../../../../src/directory/remembered/route-cache.ts'
import { DataLost } from '../../../../src/directory/errors.ts'
import type { DirectoryEntry } from '../../../../src/directory/entry.ts'

const SETTINGS: RouteCacheSettings = { maxEntries: 3, lifetimeMs: 1000, negativeLifetimeMs: 100, maxStaleMs: 5000 }
/** No monotonic clock of a process begins at 0. */
const STARTED_MS = 1_000_000
const AWAY = new MuxError('directory-unavailable', 'away')

const at = (backend: string): DirectoryEntry => ({ backend, login: undefined, status: 'active' })

/** A store whose answers wait until they are let go, a clock that stands, and a cache of both. */
function openCache(settings: Partial<RouteCacheSettings> = {}, mayForget = false) {
  const waiting: { user: string; answer: (entry: DirectoryEntry | undefined) => void; fail: (error: Error) => void }[] =
    []
  const clock = { nowMs: 0 }
  const cache = createRouteCache(
    (user) => new Promise((answer, fail) => waiting.push({ user, answer, fail })),
    () => ({ ...SETTINGS, ...settings }),
    () => STARTED_MS + clock.nowMs,
    () => mayForget,
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

test('asks for a user once, and uses the remembered route from then on', async () => {
  const { cache, waiting, lookup } = openCache()
  assert.deepEqual(await lookup('alice', at('store1')), { entry: at('store1'), source: 'directory' })
  assert.deepEqual(await cache.lookup('alice'), { entry: at('store1'), source: 'cache' })
  assert.equal(waiting.length, 0)
})

test('reports the memory step to each lookup, also for a removed route', async () => {
  const { cache, waiting, lookup } = openCache()
  const stepsOf = async (answer?: DirectoryEntry): Promise<string[]> => {
    const steps: string[] = []
    const found = cache.lookup('alice', ({ outcome, detail = '' }) => steps.push(`${outcome} ${detail}`.trim()))
    waiting.shift()?.answer(answer)
    await found
    return steps
  }
  assert.deepEqual(await stepsOf(), ['nothing'])
  await lookup('alice', undefined)
  const absence = await stepsOf()
  assert.equal(absence.length, 1)
  assert.notDeepEqual(absence, ['nothing'])
  cache.change('alice')
  await lookup('alice', at('store1'))
  assert.match((await stepsOf()).join(), /^found store1/u)
  cache.change('alice')
  await lookup('alice', undefined)
  assert.deepEqual(await stepsOf(), absence)
})

test('asks once for all logins that wait for the same user', async () => {
  const { cache, waiting } = openCache()
  const all = [cache.lookup('alice'), cache.lookup('alice'), cache.lookup('alice')]
  assert.equal(waiting.length, 1)
  waiting[0]?.answer(at('store1'))
  for (const found of await Promise.all(all)) assert.deepEqual(found.entry, at('store1'))
})

test('drops a route that has changed, and asks again', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.change('alice')
  assert.deepEqual(await lookup('alice', at('store2')), { entry: at('store2'), source: 'directory' })
})

test('drops every route when any may have changed', async () => {
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

test('treats no entry as current while changes may be missed, nor an older one before it is compared', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.stopTrusting()
  assert.deepEqual(await lookup('alice', at('store2')), { entry: at('store2'), source: 'directory' })
  cache.startTrusting()
  assert.deepEqual(await lookup('alice', at('store3')), { entry: at('store3'), source: 'directory' })
  assert.equal((await cache.lookup('alice')).source, 'cache')
})

test('uses the last route as a stand-in while the store is unavailable, up to its limit', async () => {
  const { cache, clock, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.stopTrusting()
  clock.nowMs = 4999
  assert.deepEqual(await lookup('alice', AWAY), { entry: at('store1'), source: 'stale' })
  clock.nowMs = 5000
  await assert.rejects(lookup('alice', AWAY), AWAY)
})

test('fails for an unknown user while the store is unavailable', async () => {
  const { cache, lookup } = openCache()
  await assert.rejects(lookup('alice', AWAY), AWAY)
  await lookup('bob', undefined)
  cache.stopTrusting()
  await assert.rejects(lookup('bob', AWAY), AWAY, 'that nobody knew bob once says nothing about now')
})

test('uses no route as a stand-in after a change of it was reported', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.change('alice')
  await assert.rejects(lookup('alice', AWAY), AWAY)
})

test('lets no route stand in that changes while the store fails to answer', async () => {
  const { cache, waiting, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.invalidate('alice')
  const found = cache.lookup('alice')
  cache.change('alice')
  waiting.shift()?.fail(AWAY)
  await assert.rejects(found, AWAY)
})

test('lets no route stand in for one that makes no sense', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.invalidate('alice')
  const poisoned = new MuxError('route-invalid', 'poisoned')
  await assert.rejects(lookup('alice', poisoned), poisoned)
})

test('asks again for a route that a back end has refused, and lets it stand in if there is no answer', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.invalidate('alice')
  assert.deepEqual(await lookup('alice', AWAY), { entry: at('store1'), source: 'stale' })
  assert.deepEqual(await lookup('alice', at('store1')), { entry: at('store1'), source: 'directory' })
  assert.equal((await cache.lookup('alice')).source, 'cache')
})

test('asks again after the lifetime, which is shorter for an unknown user', async () => {
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

test('remembers no more users than configured', async () => {
  const { lookup } = openCache()
  for (const user of ['a', 'b', 'c', 'd']) await lookup(user, at('store1'))
  assert.equal((await lookup('a', at('store1'))).source, 'directory')
})

const known = (user: string, backend: string, ageMs = 0) => ({ user, entry: at(backend), ageMs })

test('lets a route from before the restart stand in while the store is away, until it is too old', async () => {
  const { cache, clock, lookup } = openCache()
  cache.restore([known('alice', 'store1', 1000)])
  assert.deepEqual(await lookup('alice', AWAY), { entry: at('store1'), source: 'snapshot' })
  clock.nowMs = 3999
  assert.equal((await lookup('alice', AWAY)).source, 'snapshot')
  clock.nowMs = 4000
  await assert.rejects(lookup('alice', AWAY), AWAY)
  await assert.rejects(lookup('bob', AWAY), AWAY)
})

test('takes no route from before the restart for current, and asks', async () => {
  const { cache, lookup } = openCache()
  cache.restore([known('alice', 'store1')])
  assert.deepEqual(await lookup('alice', at('store2')), { entry: at('store2'), source: 'directory' })
  assert.deepEqual(await cache.lookup('alice'), { entry: at('store2'), source: 'cache' })
  cache.stopTrusting()
  assert.deepEqual(await lookup('alice', AWAY), { entry: at('store2'), source: 'stale' })
})

test('lets no route from before the restart stand in that was deleted meanwhile, or that changes', async () => {
  const { cache, lookup } = openCache()
  cache.restore([known('alice', 'store1'), known('bob', 'store1'), known('carol', 'store1')])
  assert.equal((await lookup('alice', undefined)).entry, undefined)
  cache.change('bob')
  cache.stopTrusting()
  await assert.rejects(lookup('alice', AWAY), AWAY)
  await assert.rejects(lookup('bob', AWAY), AWAY)
  assert.equal((await lookup('carol', AWAY)).source, 'snapshot')
})

test('asks for every route when any may have changed, and uses remembered ones as stand-ins until then', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  cache.restore([known('carol', 'store1')])
  cache.change(undefined)
  assert.deepEqual(await lookup('alice', AWAY), { entry: at('store1'), source: 'stale' })
  assert.deepEqual(await lookup('carol', AWAY), { entry: at('store1'), source: 'snapshot' })
  assert.deepEqual(await lookup('alice', at('store2')), { entry: at('store2'), source: 'directory' })
})

test('keeps remembered routes regardless of guessed names', async () => {
  const { cache, lookup } = openCache()
  for (const user of ['alice', 'bob', 'carol']) await lookup(user, at('store1'))
  for (let guess = 0; guess < 100; guess++) await lookup(`guess${guess}`, undefined)
  for (const user of ['alice', 'bob', 'carol']) assert.equal((await cache.lookup(user)).source, 'cache')
  assert.equal((await cache.lookup('guess99')).source, 'cache')
  assert.equal((await lookup('guess1', undefined)).source, 'directory')
})

test('remembers the last route of a user whom the store has none of any more, and lets it stand in no more', async () => {
  const { cache, lookup } = openCache()
  await lookup('alice', at('store1'))
  await lookup('bob', at('store2'))
  cache.change('alice')
  assert.deepEqual(await lookup('alice', undefined), { entry: undefined, source: 'directory' })
  assert.deepEqual(cache.lastKnown('alice'), at('store1'))
  assert.deepEqual(cache.remembered('alice'), { ...known('alice', 'store1'), gone: true })
  assert.equal(cache.lastKnown('carol'), undefined)
  cache.stopTrusting()
  await assert.rejects(lookup('alice', AWAY), AWAY)
  const again = openCache()
  again.cache.restore([{ ...known('alice', 'store1'), gone: true }])
  assert.deepEqual(again.cache.lastKnown('alice'), at('store1'))
  await assert.rejects(again.lookup('alice', AWAY), AWAY)
})

test('takes a missing route for forgotten where the store removes routes by itself', async () => {
  const { cache, clock, lookup } = openCache({}, true)
  await lookup('alice', at('store1'))
  cache.change('alice')
  assert.deepEqual(await lookup('alice', undefined), { entry: at('store1'), source: 'stale' })
  assert.deepEqual(await cache.lookup('alice'), { entry: at('store1'), source: 'stale' })
  assert.deepEqual(await lookup('bob', undefined), { entry: undefined, source: 'directory' })
  cache.change('alice')
  await assert.rejects(lookup('alice', AWAY), AWAY, 'a store that is away has not said that it has none')
  const lost = new DataLost('lost')
  assert.deepEqual(await lookup('alice', lost), { entry: at('store1'), source: 'stale' })
  clock.nowMs = 5000
  await assert.rejects(lookup('alice', lost), lost)
})

test('an entry with a hold that runs out during an outage does not stand in, and one with an expired hold does', async () => {
  const { cache, clock, lookup } = openCache()
  const readMs = toEpochMs(STARTED_MS)
  const held = (untilMs: number): DirectoryEntry => ({ ...at('store1'), status: 'hold', hold: { token: 't', untilMs } })
  await lookup('alice', held(readMs + 2000))
  await lookup('bob', held(readMs - 2000))
  cache.stopTrusting()
  clock.nowMs = 1000
  assert.equal((await lookup('alice', AWAY)).source, 'stale')
  // A move may have switched the route meanwhile.
  clock.nowMs = 3000
  await assert.rejects(lookup('alice', AWAY), AWAY)
  assert.equal((await lookup('bob', AWAY)).source, 'stale')
})

test('uses remembered routes as stand-ins while the store has lost its data', async () => {
  const { cache, lookup } = openCache()
  const lost = new DataLost('lost')
  await lookup('alice', at('store1'))
  cache.change(undefined)
  assert.deepEqual(await lookup('alice', lost), { entry: at('store1'), source: 'stale' })
  await assert.rejects(lookup('bob', lost), lost)
})

test('keeps the old route of a user whose route is written again into a store that has lost its data', async () => {
  const { cache, clock, lookup } = openCache()
  const lost = new DataLost('lost')
  for (const user of ['alice', 'bob', 'carol']) await lookup(user, at('store1'))
  cache.change('alice')
  clock.nowMs = 10 // the loss begins here, and is known later
  cache.change('bob')
  cache.forgetChanges(STARTED_MS + clock.nowMs)
  cache.change('carol', 'emptied')
  await assert.rejects(lookup('alice', lost), lost)
  for (const user of ['bob', 'carol'])
    assert.deepEqual(await lookup(user, lost), { entry: at('store1'), source: 'stale' }, user)
  for (const user of ['alice', 'bob', 'carol'])
    assert.deepEqual(await lookup(user, at('store2')), { entry: at('store2'), source: 'directory' }, user)
})

test('compares all that was read before changes could be missed, the most recently used first', async () => {
  const { cache, waiting, lookup } = openCache()
  await lookup('alice', at('store1'))
  await lookup('bob', at('store1'))
  cache.stopTrusting()
  cache.startTrusting()
  await lookup('carol', at('store1'))
  cache.startComparing()
  const compared = cache.compare(10)
  assert.deepEqual(
    waiting.map(({ user }) => user),
    ['bob', 'alice'],
  )
  for (const { answer } of waiting.splice(0)) answer(at('store2'))
  assert.equal(await compared, false)
  assert.deepEqual(await cache.lookup('alice'), { entry: at('store2'), source: 'cache' })
  assert.deepEqual(cache.users(10), ['alice', 'carol', 'bob'], 'to compare a route is not to use it')
})

test('compares routes from before the restart, some at a time, and counts them as its own afterwards', async () => {
  const { cache, waiting, lookup } = openCache()
  cache.restore([known('alice', 'store1'), known('bob', 'store1'), known('carol', 'store1')])
  await lookup('carol', at('store3'))
  cache.startComparing()
  const first = cache.compare(1)
  assert.deepEqual(
    waiting.map(({ user }) => user),
    ['alice'],
  )
  waiting.shift()?.answer(at('store2'))
  assert.equal(await first, true)
  const second = cache.compare(10)
  assert.deepEqual(
    waiting.map(({ user }) => user),
    ['bob'],
  )
  waiting.shift()?.answer(undefined)
  assert.equal(await second, false)
  assert.deepEqual(await cache.lookup('alice'), { entry: at('store2'), source: 'cache' })
  assert.deepEqual(await cache.lookup('bob'), { entry: undefined, source: 'cache' })
})

test('goes on comparing where the store has not answered, and past a route that makes no sense', async () => {
  const { cache, waiting } = openCache()
  cache.restore([known('alice', 'store1'), known('bob', 'store1')])
  cache.startComparing()
  const first = cache.compare(10)
  for (const { fail } of waiting.splice(0)) fail(AWAY)
  await assert.rejects(first, AWAY)
  const second = cache.compare(10)
  waiting.shift()?.fail(new MuxError('route-invalid', 'poisoned'))
  waiting.shift()?.answer(at('store2'))
  assert.equal(await second, false)
})

test('restores no more than it may remember, the most recently used', async () => {
  const { cache, lookup } = openCache()
  const users = ['a', 'b', 'c', 'd', 'e']
  cache.restore(users.map((user) => known(user, 'store1')))
  assert.deepEqual(cache.users(10), ['a', 'b', 'c'])
  await assert.rejects(lookup('d', AWAY), AWAY)
  await lookup('x', at('store1')) // c, the least recently used, makes room
  await assert.rejects(lookup('c', AWAY), AWAY)
})

test('lists its routes, the most recently used first, and whether each may have changed', async () => {
  const { cache, clock, lookup } = openCache()
  await lookup('alice', at('store1'))
  await lookup('nobody', undefined)
  const before = cache.revision()
  clock.nowMs = 50
  await cache.lookup('alice')
  assert.equal(cache.revision(), before, 'a hit changes nothing')
  assert.deepEqual(cache.users(10), ['alice'])
  assert.deepEqual(cache.remembered('alice'), known('alice', 'store1', 50))
  assert.equal(cache.remembered('nobody'), undefined)
  cache.change('alice')
  assert.notEqual(cache.revision(), before)
  assert.equal(cache.remembered('alice')?.gone, true)
})

test('gives another worker the route that may stand in, or the age of its removal', async () => {
  const { cache, clock, lookup } = openCache()
  assert.equal(cache.standInFor('alice'), undefined)
  await lookup('alice', at('store1'))
  clock.nowMs = 700
  assert.deepEqual(cache.standInFor('alice'), { entry: at('store1'), ageMs: 700, source: 'stale' })
  cache.change('alice')
  clock.nowMs = 900
  assert.deepEqual(cache.standInFor('alice'), { goneMs: 200 })
  await lookup('alice', at('store2'))
  assert.deepEqual(cache.standInFor('alice'), { entry: at('store2'), ageMs: 0, source: 'stale' })
  await lookup('bob', undefined)
  clock.nowMs = 950
  assert.deepEqual(cache.standInFor('bob'), { goneMs: 50 })
  cache.restore([
    { user: 'carol', entry: at('store3'), ageMs: 40 },
    { user: 'dora', entry: at('store1'), ageMs: 40, gone: true },
  ])
  assert.deepEqual(cache.standInFor('carol'), { entry: at('store3'), ageMs: 40, source: 'snapshot' })
  assert.deepEqual(cache.standInFor('dora'), { goneMs: 0 })
})
