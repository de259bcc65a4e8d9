/** The difference between a directory that has lost its data and an empty one, with several instances, restarts and masters. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RedisFailure } from '../../../../src/directory/redis/errors.ts'
import { partKeys, partNumber, slotOf } from '../../../../src/directory/redis/slots.ts'
import { createStore, KEY, LOST, openInstance, passYouth, UNAVAILABLE } from './marker-fixture.ts'

const AWAY = new Error('Connection is closed.')

test('agrees on one marker where two instances start at once on an empty directory', async (t) => {
  const store = createStore()
  const first = openInstance(t, store)
  let isFirstWritten: Promise<undefined> = Promise.resolve(undefined)
  // It reads before the first writes, and writes after the first has read its own marker again.
  const slow = {
    ...store.redis,
    async hmget(key: string, ...fields: string[]) {
      const found = await store.redis.hmget(key, ...fields)
      await isFirstWritten
      return found
    },
  }
  const second = openInstance(t, { ...store, redis: slow })
  const { promise, resolve } = Promise.withResolvers<undefined>()
  isFirstWritten = promise
  const secondChecked = second.marker.check()
  await first.marker.check()
  resolve(undefined)
  await secondChecked
  assert.equal(second.marker.id(), first.marker.id())
  first.marker.disconnected()
  await first.marker.check()
  assert.deepEqual(first.states, ['sound', 'away', 'sound'])
})

test('hears of a loss that another instance declares while the marker is written', async (t) => {
  const store = createStore()
  const overtaken = {
    ...store.redis,
    async hsetnx(key: string, field: string, value: string) {
      await store.redis.hset(KEY, { id: 'other', after: 'before', lost: 'now' })
      return store.redis.hsetnx(key, field, value)
    },
  }
  const { marker, states } = openInstance(t, { ...store, redis: overtaken })
  await assert.rejects(marker.check(), LOST)
  assert.deepEqual(states, ['lost'])
})

test('writes the marker where none was ever seen, and finds it again', async (t) => {
  const redis = createStore()
  const { marker, states } = openInstance(t, redis)
  await marker.mayRead()
  assert.deepEqual(states, ['sound'])
  assert.equal(redis.hashes.get(KEY)?.id, marker.id())
  assert.equal(marker.mayRead(), undefined, 'no question for each lookup')
  const other = openInstance(t, redis)
  await other.marker.mayRead()
  assert.equal(other.marker.id(), marker.id())
  await openInstance(t, redis, { seen: marker.id() }).marker.mayRead()
})

test('declares a directory without its marker lost, for all instances', async (t) => {
  const redis = createStore()
  const { marker, states } = openInstance(t, redis)
  await marker.check()
  redis.hashes.clear()
  await assert.rejects(marker.confirmAbsence('mailmux:user:alice'), LOST)
  await assert.rejects(marker.mayRead() ?? Promise.resolve(), LOST)
  assert.deepEqual(states, ['sound', 'lost'])
  const fresh = openInstance(t, redis)
  await assert.rejects(fresh.marker.mayRead() ?? Promise.resolve(), LOST)
  assert.deepEqual(fresh.states, ['lost'])
})

test('remembers over a restart that there was a marker', async (t) => {
  await assert.rejects(openInstance(t, createStore(), { seen: 'before' }).marker.check(), LOST)
})

test('takes another marker for lost data, also one of an instance that was faster', async (t) => {
  const redis = createStore()
  const { marker } = openInstance(t, redis)
  await marker.check()
  redis.hashes.clear()
  const fresh = openInstance(t, redis)
  await fresh.marker.check()
  await assert.rejects(marker.confirmAbsence('mailmux:user:alice'), LOST)
  await assert.rejects(fresh.marker.confirmAbsence('mailmux:user:bob'), LOST)
})

test('continues once an operator has accepted the directory, also in an instance that was disconnected', async (t) => {
  const redis = createStore()
  const { marker, states } = openInstance(t, redis)
  await marker.check()
  const before = marker.id()
  redis.hashes.clear()
  await assert.rejects(marker.check(), LOST)
  redis.accept()
  await marker.check()
  assert.deepEqual(states, ['sound', 'lost', 'sound'])
  assert.notEqual(marker.id(), before)
  await openInstance(t, redis, { seen: before }).marker.check()
  await openInstance(t, redis).marker.check()
})

test('says once that the data is lost and how to accept it, and once that it is accepted', async (t) => {
  const redis = createStore()
  const { marker, lines } = openInstance(t, redis)
  await marker.check()
  marker.disconnected()
  await marker.check()
  assert.deepEqual(lines, [])
  redis.hashes.clear()
  for (let times = 0; times < 3; times++) await assert.rejects(marker.check(), LOST)
  const lost = `directory has lost its data {"key":"${KEY}","accept":"HDEL ${KEY} lost"}`
  assert.deepEqual(lines, [lost])
  redis.accept()
  await marker.check()
  assert.deepEqual(lines, [lost, `directory accepted as it is {"key":"${KEY}"}`])
})

test('asks Redis nothing for the lookups of a directory that has lost its data', async (t) => {
  const redis = createStore()
  let asked = 0
  redis.store.refuse = () => {
    asked++
    return undefined
  }
  const { marker } = openInstance(t, redis, { seen: 'before' })
  await assert.rejects(marker.check(), LOST)
  const before = asked
  for (let times = 0; times < 3; times++) await assert.rejects(marker.mayRead() ?? Promise.resolve(), LOST)
  assert.equal(asked, before)
})

test('looks for the acceptance by itself', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const redis = createStore()
  const { marker, states } = openInstance(t, redis, { seen: 'before' })
  await assert.rejects(marker.check(), LOST)
  redis.accept()
  t.mock.timers.tick(2000)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(states, ['lost', 'sound'])
})

test('looks for the acceptance again after Redis has not answered', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const redis = createStore()
  const { marker, states } = openInstance(t, redis, { seen: 'before' })
  await assert.rejects(marker.check(), LOST)
  redis.store.refuse = () => new Error('Command timed out')
  t.mock.timers.tick(2000)
  await new Promise((resolve) => setImmediate(resolve))
  redis.store.refuse = () => undefined
  redis.accept()
  t.mock.timers.tick(2000)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(states, ['lost', 'sound'])
})

test('is unavailable without the connection, and checks the marker before the next answer counts', async (t) => {
  const redis = createStore()
  const { marker, states } = openInstance(t, redis)
  await marker.check()
  marker.disconnected()
  redis.store.refuse = () => AWAY
  await assert.rejects(marker.mayRead() ?? Promise.resolve(), UNAVAILABLE)
  redis.store.refuse = () => undefined
  redis.hashes.clear() // restarted without persistence
  await assert.rejects(marker.mayRead() ?? Promise.resolve(), LOST)
  assert.deepEqual(states, ['sound', 'away', 'lost'])
})

test('does not count what a check has read before the last reason for one', async (t) => {
  const redis = createStore()
  const { marker } = openInstance(t, redis)
  await marker.check()
  const early = marker.check()
  redis.hashes.clear()
  await assert.rejects(marker.confirmAbsence('mailmux:user:alice'), LOST)
  await assert.rejects(early, LOST)
})

test('serves without a marker where the user of Redis may not read or write it', async (t) => {
  for (const forbidsReading of [true, false]) {
    const redis = createStore()
    redis.store.refuse = (_key, writes) =>
      writes || forbidsReading ? new RedisFailure('NOPERM no', { isAnswer: true }) : undefined
    const { marker, states, lines } = openInstance(t, redis)
    await marker.check()
    await marker.check()
    await marker.confirmAbsence('mailmux:user:alice')
    assert.deepEqual(states, ['sound'])
    assert.deepEqual(lines, [`directory has no marker {"key":"${KEY}","cause":"NOPERM no"}`])
    assert.equal(marker.id(), undefined)
  }
})

test('has a part in each 256th of the slots of a Cluster', () => {
  assert.equal(slotOf('123456789'), 0x31c3) // the check value of the specification
  assert.equal(slotOf('a{123456789}b'), 0x31c3)
  const parts = partKeys(KEY)
  assert.deepEqual(
    parts.map((key) => partNumber(key)),
    Array.from({ length: 64 }, (_, part) => part),
  )
  assert.deepEqual(partKeys('{mailmux}:marker'), [])
})

/** The keys that a master with the second half of the slots holds. */
const isSecond = (key: string): boolean => slotOf(key) >= 8192
const routeIn = (second: boolean): string =>
  Array.from({ length: 100 }, (_, n) => `mailmux:user:u${n}`).find((key) => isSecond(key) === second) ?? ''
/** The other half holds the marker itself. */
const [WITH_MARKER, WITHOUT] = isSecond(KEY) ? [true, false] : [false, true]

test('notices that one master of a Cluster has lost its data, and has that confirmed', async (t) => {
  const redis = createStore()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { marker, states, clock } = openInstance(t, redis, { isCluster: true })
  await marker.check()
  await passYouth(t)
  assert.equal(redis.hashes.size, 65)
  await marker.confirmAbsence(routeIn(WITHOUT))
  for (const key of redis.hashes.keys()) if (isSecond(key) === WITHOUT) redis.hashes.delete(key)
  await marker.confirmAbsence(routeIn(WITH_MARKER))
  await assert.rejects(marker.confirmAbsence(routeIn(WITHOUT)), UNAVAILABLE)
  assert.deepEqual(states, ['sound', 'away'])
  clock.nowMs = 5000
  await assert.rejects(marker.check(), LOST)
  const fresh = openInstance(t, redis, { isCluster: true })
  await assert.rejects(fresh.marker.check(), LOST)
  redis.accept()
  await marker.check()
  await fresh.marker.check()
  await fresh.marker.confirmAbsence(routeIn(WITHOUT))
  assert.equal(redis.hashes.size, 65)
})

test('goes on in a Cluster while one master is away, with the marker or without it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  for (const half of [true, false]) {
    const redis = createStore()
    const { marker } = openInstance(t, redis, { isCluster: true })
    await marker.check()
    await passYouth(t)
    redis.store.refuse = (key) => (isSecond(key) === half ? AWAY : undefined)
    await marker.check()
    await marker.confirmAbsence(routeIn(!half))
    await assert.rejects(marker.confirmAbsence(routeIn(half)), UNAVAILABLE)
  }
})

test('is away while no master of a Cluster answers', async (t) => {
  const redis = createStore()
  redis.store.refuse = () => AWAY
  await assert.rejects(openInstance(t, redis, { isCluster: true }).marker.check(), UNAVAILABLE)
})
