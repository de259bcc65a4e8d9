/** This instance among others, as the supervisor has it: without Redis it covers only itself, and says so. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { instancesAnswer } from '../../../src/admin/answers.ts'
import { Unavailable } from '../../../src/admin/api.ts'
import type { Settings } from '../../../src/config/settings.ts'
import { NO_ELDERS } from '../../../src/supervisor/generation/no-predecessor.ts'
import { joinSite, type SiteParts } from '../../../src/supervisor/site.ts'
import { silent } from '../directory/scripted-redis.ts'

function join(sessions: SiteParts['pool']['sessions']) {
  return joinSite({
    id: '0123456789ab',
    pool: {
      states: () => ['up', 'ended'],
      sessions,
      endSessions: () => Promise.resolve({ ended: 0 }),
      quiesce: () => Promise.resolve({ isHeld: true, left: 0 }),
      trace: () => Promise.resolve({ lines: [], dropped: 0 }),
    },
    settings: () => ({ directory: { kind: 'static' } }) as Settings,
    host: 'mail1',
    pid: 7,
    version: '1.2.3',
    generation: 1,
    elders: NO_ELDERS,
    moves: () => ({ moves: [] }),
    usage: () => [],
    refreshBlocks: () => Promise.resolve({ ended: 0 }),
    log: silent,
    noteShortage: () => undefined,
  })
}

test('lists this instance, and says that without Redis it covers no other', async () => {
  const site = join(() => Promise.resolve({ sessions: [], total: 5 }))
  const { instances, ...rest } = instancesAnswer.parse(await site.instances())
  assert.deepEqual(rest, { scope: 'instance', why: 'the directory is not Redis' })
  const [{ id, sinceMs, ...own } = assert.fail()] = instances
  assert.deepEqual(own, {
    host: 'mail1',
    state: 'up',
    self: true,
    pid: 7,
    version: '1.2.3',
    generation: 1,
    workers: 2,
    sessions: 5,
  })
  assert.match(id, /^[\da-f]{12}$/)
  assert.ok(sinceMs !== undefined && sinceMs > 0)
  assert.equal(site.count(), 1)
  await site.leave()
})

test('lists this instance without a number of sessions if no worker answers', async () => {
  const site = join(() => Promise.reject(new Unavailable('no worker answers')))
  const [own] = (await site.instances()).instances
  assert.deepEqual([own?.state, own?.sessions], ['up', undefined])
})
