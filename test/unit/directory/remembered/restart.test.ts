/** What the Redis directory remembers over a restart: routes and the marker, of the same store alone. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import type { RedisSettings } from '../../../../src/config/settings.ts'
import { openCachedDirectory } from '../../../../src/directory/remembered/cached-directory.ts'
import { READ_DEADLINE_MS, within } from '../../../support/deadline.ts'
import { AMPLE_MS, fields, hash, PASS, silent, startScriptedRedis, type Answers } from '../scripted-redis.ts'
import { growList, until } from '../waiting.ts'

async function startRedis(t: TestContext, answers: Answers) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-restart-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const redis = await startScriptedRedis(t, answers)
  const more = { timeoutMs: AMPLE_MS, snapshotFile: path.join(folder, 'routes') }
  return { redis, settings: { ...redis.settings, ...more } satisfies RedisSettings }
}

function open(t: TestContext, settings: RedisSettings) {
  const states = growList<string>()
  const directory = openCachedDirectory(settings, silent, {
    directoryIsUp: (up) => states.add(up ? 'up' : 'away'),
    directoryHasLostData: (lost) => (lost ? states.add('lost') : undefined),
    directoryAnsweredBadly: () => undefined,
  })
  t.after(() => directory.close())
  return { directory, states }
}

test('serves the users of before while Redis does not answer, from the file of the same store', async (t) => {
  let isAway = false
  const answers: Answers = (command) => {
    const [name, key] = command
    if (isAway) return '-LOADING\r\n'
    return name === 'hmget' && key !== 'mailmux:marker' ? hash(command, { backend: 'store1' }) : PASS
  }
  const { settings } = await startRedis(t, answers)
  const { directory } = open(t, settings)
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  await directory.lookup('alice')
  await directory.close()
  isAway = true
  const again = open(t, settings)
  assert.deepEqual(await again.directory.lookup('alice'), {
    entry: { backend: 'store1', login: undefined, status: 'active' },
    source: 'snapshot',
  })
  await assert.rejects(again.directory.lookup('bob'), { code: 'directory-unavailable' })
  const other = open(t, { ...settings, prefix: 'other:' })
  await assert.rejects(other.directory.lookup('alice'), { code: 'directory-unavailable' })
})

test('takes a Redis without the marker of before for one that has lost its data', async (t) => {
  let isEmpty = false
  const { settings } = await startRedis(t, (command) => {
    const [name, key] = command
    if (name === 'hmget' && key === 'mailmux:marker' && isEmpty) return fields(null, null, null, null)
    return name === 'hmget' && key !== 'mailmux:marker' ? hash(command, { backend: 'store1' }) : PASS
  })
  const { directory } = open(t, settings)
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  await directory.lookup('alice')
  await directory.close()
  isEmpty = true
  const { states } = open(t, settings)
  await until(states, (all) => all.includes('lost'), 'loss')
})
