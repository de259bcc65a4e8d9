/** The release of the ports to a process that takes the place of this one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Settings } from '../../../src/config/settings.ts'
import { createRelease } from '../../../src/supervisor/release.ts'

function start({ late = [] as number[] } = {}) {
  const events: string[] = []
  const again = Promise.withResolvers<undefined>()
  const release = createRelease({
    pool: {
      closePorts() {
        events.push('close')
        return Promise.resolve(late)
      },
      prepare() {
        events.push('prepare')
        const commit = () => Promise.resolve(late)
        return Promise.resolve({ commit, discard: () => undefined })
      },
    },
    settings: () => ({}) as Settings,
    whyNotNow: () => undefined,
    setNotReady: (why) => events.push(why ?? 'ready'),
    retire: () => events.push('retire'),
    version: '1.0.0',
    pid: 7,
    stopping: new AbortController().signal,
    log: {
      info: () => undefined,
      error: () => undefined,
      warn: () => again.resolve(undefined),
    },
  })
  return { release, events, again: again.promise }
}

const WHY = 'another process takes the ports'

test('closes the ports before it answers, and gives no worker other settings', async () => {
  const { release, events } = start()
  assert.deepEqual(await release.order(new AbortController().signal), { pid: 7, version: '1.0.0' })
  assert.deepEqual(events, [WHY, 'close'])
  assert.deepEqual(await release.order(new AbortController().signal), { error: 'the ports are released already' })
  assert.equal(release.confirm(), true)
  assert.deepEqual(events, [WHY, 'close', 'retire'])
})

test('takes the ports again if the other process ends before it has them', async () => {
  const { release, events, again } = start()
  const gone = new AbortController()
  await release.order(gone.signal)
  gone.abort()
  await again
  assert.deepEqual([events, release.isReleased()], [[WHY, 'close', 'prepare', 'ready'], false])
})

test('takes the ports again if a worker may have them open still', async () => {
  const { release, events } = start({ late: [2] })
  const error = 'worker 2 does not answer, and may have ports open'
  assert.deepEqual(await release.order(new AbortController().signal), { error })
  assert.deepEqual(events, [WHY, 'close', 'prepare', 'ready'])
})
