/** All workers connect another directory, or none of them uses it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DirectorySettings } from '../../../src/config/settings.ts'
import type { Ask } from '../../../src/supervisor/messages.ts'
import { unpack } from '../../../src/supervisor/packed.ts'
import { prepareDirectory } from '../../../src/supervisor/prepare-directory.ts'
import type { Worker } from '../../../src/supervisor/worker-interface.ts'

const redis = (prefix: string): DirectorySettings => ({
  kind: 'redis',
  servers: { kind: 'single', server: { host: '127.0.0.1', port: 1 }, database: 0 },
  username: undefined,
  password: undefined,
  tls: undefined,
  prefix,
  timeoutMs: 1000,
  cache: { maxEntries: 1, lifetimeMs: 1, negativeLifetimeMs: 1, maxStaleMs: 1 },
  snapshotFile: '/var/lib/mailmux/routes',
  snapshotSlot: 1,
})

/** @param answers of the workers from number 1; undefined: it does not answer */
function workersWith(...answers: ({ wrong?: string } | undefined)[]) {
  const slots: number[] = []
  const workers = answers.map((answer, index) => {
    const ask = (question: Ask): Promise<unknown> => {
      assert.ok(question.what === 'prepare')
      const directory = unpack(question.directory)
      assert.ok(directory.kind === 'redis')
      slots.push(directory.snapshotSlot)
      return answer ? Promise.resolve(answer) : Promise.reject(new Error('does not answer'))
    }
    return { number: index + 1, ask: ask as Worker['ask'] }
  })
  return { workers, slots }
}

test('asks every worker, each for its own file of known routes, where the directory is another one', async () => {
  const { workers, slots } = workersWith({}, {}, {})
  await prepareDirectory(workers, redis('a:'), redis('a:'))
  assert.deepEqual(slots, [])
  await prepareDirectory(workers, redis('a:'), redis('b:'))
  assert.deepEqual(slots, [1, 2, 3])
})

test('refuses the directory if one worker cannot reach it, or if none answers', async () => {
  const wrong = 'the new directory cannot be used: Redis: ECONNREFUSED'
  await assert.rejects(prepareDirectory(workersWith({}, { wrong }).workers, redis('a:'), redis('b:')), {
    message: wrong,
  })
  await assert.rejects(prepareDirectory(workersWith(undefined, undefined).workers, redis('a:'), redis('b:')), {
    message: 'no worker answers',
  })
})

test('waits for no worker that does not answer: it connects when it gets the settings', async () => {
  await prepareDirectory(workersWith({}, undefined).workers, redis('a:'), redis('b:'))
})
