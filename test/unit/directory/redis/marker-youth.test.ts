/** A marker that an instance without memory has written: missing routes wait until other instances have had time to declare a loss. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { YOUNG_MS } from '../../../../src/directory/redis/marker-youth.ts'
import { createStore, KEY, LOST, openInstance, passYouth, UNAVAILABLE } from './marker-fixture.ts'

const ALICE = 'mailmux:user:alice'

/** @returns how the question has ended so far */
function watch(answer: Promise<void>): () => string {
  let how = 'waits'
  answer.then(
    () => (how = 'counts'),
    (error: unknown) => (how = String(error)),
  )
  return () => how
}

const settle = () => new Promise((resolve) => setImmediate(resolve))
const mockTimers = (t: TestContext) => t.mock.timers.enable({ apis: ['setTimeout'] })

test('lets missing routes and placements of a new directory wait, for 3 seconds and once', async (t) => {
  mockTimers(t)
  const store = createStore()
  const { marker, states } = openInstance(t, store)
  await marker.check()
  const [absence, place] = [watch(marker.confirmAbsence(ALICE)), watch(marker.mayReserve())]
  assert.equal(marker.mayRead(), undefined, 'routes that are there count at once')
  t.mock.timers.tick(YOUNG_MS - 1)
  await settle()
  assert.deepEqual([absence(), place(), states], ['waits', 'waits', ['sound']])
  t.mock.timers.tick(1)
  await settle()
  assert.deepEqual([absence(), place()], ['counts', 'counts'])
  await marker.confirmAbsence(ALICE)
  await marker.mayReserve()
  assert.equal(store.hashes.get(KEY)?.settled, marker.id())
  const later = openInstance(t, store)
  await later.marker.check()
  await later.marker.confirmAbsence(ALICE)
})

test('counts nothing of an emptied directory when an instance without memory comes first', async (t) => {
  mockTimers(t)
  const store = createStore()
  const old = openInstance(t, store)
  await old.marker.check()
  await passYouth(t)
  old.marker.disconnected()
  store.hashes.clear()
  const fresh = openInstance(t, store)
  await fresh.marker.check()
  const absence = assert.rejects(fresh.marker.confirmAbsence(ALICE), LOST)
  const place = assert.rejects(fresh.marker.mayReserve(), LOST)
  await assert.rejects(old.marker.check(), LOST)
  await passYouth(t)
  await Promise.all([absence, place])
  store.accept()
  await Promise.all([old.marker.check(), fresh.marker.check()])
  await fresh.marker.confirmAbsence(ALICE) // accepted: there is nothing to wait for
})

test('waits at an instance too that finds a young marker', async (t) => {
  mockTimers(t)
  const store = createStore()
  const writer = openInstance(t, store)
  await writer.marker.check()
  writer.marker.close() // it ends before the time is over
  t.mock.timers.tick(YOUNG_MS - 1)
  const finder = openInstance(t, store)
  await finder.marker.check()
  const absence = watch(finder.marker.confirmAbsence(ALICE))
  t.mock.timers.tick(YOUNG_MS - 1)
  await settle()
  assert.equal(absence(), 'waits')
  t.mock.timers.tick(1)
  await settle()
  assert.equal(absence(), 'counts')
})

test('ends the wait when another instance has waited', async (t) => {
  mockTimers(t)
  const store = createStore()
  const { marker } = openInstance(t, store)
  await marker.check()
  const absence = watch(marker.confirmAbsence(ALICE))
  await settle()
  await store.redis.hset(KEY, { settled: marker.id() ?? '' })
  await marker.check() // Redis reports the change
  assert.equal(absence(), 'counts')
})

test('refuses what waits when the connection is lost, and begins anew', async (t) => {
  mockTimers(t)
  const store = createStore()
  const { marker } = openInstance(t, store)
  await marker.check()
  const refused = assert.rejects(marker.mayReserve(), UNAVAILABLE)
  await settle()
  marker.disconnected()
  await refused
  await marker.check()
  const place = watch(marker.mayReserve())
  t.mock.timers.tick(YOUNG_MS - 1)
  await settle()
  assert.equal(place(), 'waits')
  await passYouth(t)
  assert.equal(place(), 'counts')
})

test('looks again where the marker cannot be read at the end of the wait', async (t) => {
  mockTimers(t)
  const store = createStore()
  const { marker } = openInstance(t, store)
  await marker.check()
  const absence = watch(marker.confirmAbsence(ALICE))
  await settle()
  store.store.refuse = () => new Error('Command timed out')
  await passYouth(t)
  assert.match(absence(), /Command timed out|cannot be asked/u)
  store.store.refuse = () => undefined
  await passYouth(t)
  await passYouth(t)
  await marker.confirmAbsence(ALICE)
})

test('waits once for itself where the marker may not be written', async (t) => {
  mockTimers(t)
  const store = createStore()
  store.hashes.set(KEY, { id: 'of-another' })
  store.store.refuse = (_key, writes) => (writes ? new Error('NOPERM no') : undefined)
  const { marker, states } = openInstance(t, store)
  await marker.check()
  const absence = watch(marker.confirmAbsence(ALICE))
  await settle()
  assert.equal(absence(), 'waits')
  await passYouth(t)
  assert.equal(absence(), 'counts')
  await marker.check()
  await marker.confirmAbsence(ALICE)
  assert.deepEqual(states, ['sound'])
})

test('reports each marker of the directory to other workers, and takes theirs if it has seen none', async (t) => {
  const store = createStore()
  const first = openInstance(t, store)
  await first.marker.check()
  assert.deepEqual(first.seen, [first.marker.id()])
  const second = openInstance(t, store)
  second.marker.learn(first.marker.id() ?? '')
  store.hashes.clear()
  await assert.rejects(second.marker.check(), LOST)
  first.marker.learn('another')
  assert.equal(first.marker.id(), first.seen[0])
  await assert.rejects(first.marker.check(), LOST)
  store.accept()
  await first.marker.check()
  assert.deepEqual(first.seen, [first.seen[0], store.hashes.get(KEY)?.id])
  const restarted = openInstance(t, store)
  await restarted.marker.check()
  assert.equal(restarted.marker.id(), first.marker.id())
})

test('declares a loss if another worker reports a marker while a new one is being written', async (t) => {
  const store = createStore()
  const redis = {
    ...store.redis,
    async hsetnx(key: string, field: string, value: string) {
      marker.learn('before')
      return store.redis.hsetnx(key, field, value)
    },
  }
  const { marker } = openInstance(t, { ...store, redis })
  await assert.rejects(marker.check(), LOST)
  assert.equal(store.hashes.get(KEY)?.after, 'before')
})
