/** A reload that changes `workers` between 1 and several. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Settings } from '../../../src/config/settings.ts'
import { changePool, needsOtherPool, type PoolChange } from '../../../src/supervisor/change-pool.ts'

const settings = (workers: number): Settings => ({ workers }) as Settings

function parts(more: Partial<Pick<PoolChange, 'upgrade'>> & { wrong?: string } = {}) {
  const done: string[] = []
  const pool: PoolChange['pool'] = {
    prepare({ workers }) {
      done.push(`prepare for ${workers}`)
      if (more.wrong !== undefined) return Promise.reject(new Error(more.wrong))
      return Promise.resolve({ commit: () => Promise.resolve([]), discard: () => done.push('discard') })
    },
  }
  const upgrade: PoolChange['upgrade'] = () => {
    done.push('upgrade')
    return Promise.resolve({ version: '1', generation: 2, pid: 3 })
  }
  return { done, change: { pool, upgrade, notifier: { ready: () => done.push('ready') }, ...more } }
}

test('one worker and several need different pools', () => {
  assert.deepEqual(
    [
      [1, 1],
      [1, 2],
      [2, 1],
      [2, 3],
    ].map(([before = 0, after = 0]) => needsOtherPool({ workers: before }, { workers: after })),
    [false, true, true, false],
  )
})

test('checks the ports and the directory first, and then hands over', async () => {
  const { done, change } = parts()
  assert.deepEqual(await changePool(settings(1), settings(2), change), [])
  assert.deepEqual(done, ['prepare for 1', 'discard', 'ready', 'upgrade'])
})

test('changes nothing where a port or the directory is missing', async () => {
  const { done, change } = parts({ wrong: 'the new directory cannot be used: Redis: ECONNREFUSED' })
  await assert.rejects(changePool(settings(2), settings(1), change), { message: /ECONNREFUSED/ })
  assert.deepEqual(done, ['prepare for 2'])
})

test('fails with the reason of the upgrade', async () => {
  const { change } = parts({ upgrade: () => Promise.resolve({ error: 'an upgrade is under way' }) })
  await assert.rejects(changePool(settings(1), settings(2), change), { message: 'an upgrade is under way' })
})
