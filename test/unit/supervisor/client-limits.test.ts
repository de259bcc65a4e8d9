/** The limits on clients when a reload replaces the directory: the new store gets the counts, and the old one keeps none of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Settings } from '../../../src/config/settings.ts'
import { keepClientLimits } from '../../../src/supervisor/client-limits.ts'
import { READ_DEADLINE_MS, until } from '../../support/deadline.ts'
import { silent } from '../directory/scripted-redis.ts'
import { MemorySite } from '../limits/memory-site.ts'

const KEY = 'sessions_per_user imap alice@example.test'
const settings: unknown = { listeners: [{ limits: { sessionsPerUser: 5 } }] }

test('a change of the store and back: a session that has ended meanwhile counts in neither', async (t) => {
  const [first, second] = [new MemorySite(), new MemorySite()]
  for (const memory of [first, second]) memory.beat('a', 'b')
  const siteOf = (memory: MemorySite) => ({ id: 'a', store: memory.storeOf('a') })
  const limits = keepClientLimits({ settings: () => settings as Settings, site: siteOf(first), log: silent })
  t.after(() => limits.stop())
  const isShared = (): Promise<true> =>
    until(
      READ_DEADLINE_MS,
      () => limits.isShared() === true || undefined,
      () => 'the limits are not shared',
    )
  await isShared()
  const question = { counts: [{ limit: 'sessions_per_user' as const, key: KEY, max: 5 }], rates: [], known: undefined }
  assert.equal(await limits.ledger.takeSession(question), undefined)
  assert.deepEqual(first.fields(KEY), { a: 1 })
  await limits.moveTo(siteOf(second))
  assert.deepEqual(first.fields(KEY), {})
  await isShared()
  assert.deepEqual(second.fields(KEY), { a: 1 })
  limits.ledger.release([KEY])
  await limits.moveTo(siteOf(first))
  await isShared()
  assert.deepEqual(first.fields(KEY), {})
})
