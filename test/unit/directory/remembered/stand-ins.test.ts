/** Routes that other workers remember: used while the directory is away, never in the place of its answer, and for no longer than own ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toEpochMs } from '../../../../src/clock.ts'
import { MuxError } from '../../../../src/errors.ts'
import type { DirectoryAnswer, StandIn } from '../../../../src/directory/directory.ts'
import { shareStandIns } from '../../../../src/directory/remembered/stand-ins.ts'
import type { RouteStep } from '../../../../src/directory/trace.ts'
import { DataLost, RouteInvalid } from '../../../../src/directory/errors.ts'

const MAX_STALE_MS = 60_000
const AWAY = new MuxError('directory-unavailable', 'Redis: ECONNREFUSED')
const entry = (backend: string) => ({ backend, login: undefined, status: 'active' as const })
const route = (backend: string, ageMs: number, source: 'stale' | 'snapshot' = 'stale'): StandIn => ({
  entry: entry(backend),
  ageMs,
  source,
})

type Parts = {
  lookup?: () => Promise<DirectoryAnswer>
  told?: StandIn[] | Error
  own?: StandIn
}

function share({ lookup = () => Promise.reject(AWAY), told = [], own }: Parts) {
  const asked: string[] = []
  const shared = shareStandIns(
    lookup,
    (user) => {
      asked.push(user)
      return told instanceof Error ? Promise.reject(told) : Promise.resolve(told)
    },
    () => own,
    () => MAX_STALE_MS,
  )
  return { shared, asked }
}

test('uses the newest route that another worker remembers, with its source', async () => {
  const { shared } = share({ told: [route('store1', 3000), route('store2', 2000, 'snapshot'), route('store3', 5000)] })
  assert.deepEqual(await shared('alice'), { entry: entry('store2'), source: 'snapshot' })
})

test('asks other workers only while the directory is away or has lost its data', async () => {
  const found: DirectoryAnswer = { entry: undefined, source: 'directory' }
  const answered = share({ lookup: () => Promise.resolve(found), told: [route('store1', 1)] })
  assert.equal(await answered.shared('alice'), found)
  const invalid = new RouteInvalid('wrong-type', 'no hash')
  const refused = share({ lookup: () => Promise.reject(invalid), told: [route('store1', 1)] })
  await assert.rejects(refused.shared('alice'), invalid)
  assert.deepEqual([...answered.asked, ...refused.asked], [])
  const lost = share({ lookup: () => Promise.reject(new DataLost('lost')), told: [route('store1', 1)] })
  assert.equal((await lost.shared('alice')).source, 'stale')
})

for (const [what, parts] of Object.entries({
  'no worker remembers the user': {},
  'a route is older than max_stale': { told: [route('store1', MAX_STALE_MS)] },
  'a worker knows that the route has changed since': { told: [route('store1', 5000), { goneMs: 4000 }] },
  'this worker knows that the route has changed since': { told: [route('store1', 5000)], own: { goneMs: 4000 } },
  'a change may be newer than the route': { told: [route('store1', 5000), { goneMs: 5400 }] },
  'the workers give no answer': { told: new Error('no answer within 500 ms') },
} satisfies Record<string, Parts>)) {
  test(`gives the temporary failure of the directory where ${what}`, async () => {
    await assert.rejects(share(parts).shared('alice'), AWAY)
  })
}

test('an entry of another worker does not stand in once its hold has run out since it was read', async () => {
  const held = (leftMs: number): StandIn => ({
    entry: { ...entry('store1'), status: 'hold', hold: { token: 't', untilMs: toEpochMs(performance.now()) + leftMs } },
    ageMs: 30_000,
    source: 'stale',
  })
  await assert.rejects(share({ told: [held(-10_000)] }).shared('alice'), AWAY)
  assert.equal((await share({ told: [held(20_000)] }).shared('alice')).source, 'stale')
  assert.equal((await share({ told: [held(-40_000)] }).shared('alice')).source, 'stale')
})

test('uses a route that was read after the change that another worker has seen', async () => {
  const { shared } = share({ told: [{ goneMs: 9000 }, route('store2', 5000)], own: { goneMs: 8000 } })
  assert.equal((await shared('alice')).entry?.backend, 'store2')
})

test('asks once for a user, however many logins wait, and for 100 users at a time', async () => {
  const answers = new Map<string, PromiseWithResolvers<StandIn[]>>()
  let asked = 0
  const shared = shareStandIns(
    () => Promise.reject(AWAY),
    (user) => {
      asked++
      const answer = Promise.withResolvers<StandIn[]>()
      answers.set(user, answer)
      return answer.promise
    },
    () => undefined,
    () => MAX_STALE_MS,
  )
  const logins = Array.from({ length: 300 }, (_, n) => shared(`user${n % 100}`))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(asked, 100)
  await assert.rejects(shared('one-more'), AWAY)
  assert.equal(asked, 100)
  for (const answer of answers.values()) answer.resolve([route('store1', 1)])
  assert.ok((await Promise.all(logins)).every(({ entry }) => entry?.backend === 'store1'))
  const next = shared('one-more')
  await new Promise((resolve) => setImmediate(resolve))
  answers.get('one-more')?.resolve([route('store2', 1)])
  assert.equal((await next).entry?.backend, 'store2')
})

test('shows in a trace what other workers remember, and why it is not used', async () => {
  const stepsOf = async (parts: Parts) => {
    const steps: RouteStep[] = []
    await share(parts)
      .shared('alice', (step) => steps.push(step))
      .catch(() => undefined)
    return steps
  }
  const [asked, key] = ['workers' as const, 'alice']
  assert.deepEqual(await stepsOf({ told: [route('store1', 10_000)] }), [
    { asked, key, outcome: 'found', detail: 'store1 (stands in)', ageMs: 10_000, leftMs: 50_000 },
  ])
  assert.deepEqual(await stepsOf({ told: [route('store1', 10_000), { goneMs: 1 }] }), [
    { asked, key, outcome: 'outdated', detail: 'store1 (changed or removed since)', ageMs: 10_000 },
  ])
  assert.deepEqual(await stepsOf({}), [{ asked, key, outcome: 'nothing' }])
  assert.deepEqual(await stepsOf({ told: new Error('no answer within 500 ms') }), [
    { asked, key, outcome: 'unavailable', detail: 'no answer within 500 ms' },
  ])
})
