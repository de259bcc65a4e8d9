/** Loads that fail although no file is wrong: the process that reads has ended or hangs. Nothing in the files has to change for the next load. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROUTING } from '../config/fixture.ts'
import { replace } from '../config/watching.ts'
import { start } from './kept-configuration.ts'

const ENDED = 'the process that reads the configuration has ended: exit code 1'

function failFirst(load: number): void {
  if (load === 1) throw new Error(ENDED)
}

const FAILED = [{ fields: { cause: ENDED }, text: 'configuration cannot be reloaded' }]

test('a change whose load has failed is taken over later without another change', async (t) => {
  const { file, untilTaken, log, refused, loads } = start(t, { beforeLoad: failFirst })
  replace(file('routing.yaml'), `${ROUTING}  bob@example.test: store1\n`)
  await untilTaken('the new user', ({ routing }) => routing.users.has('bob@example.test'))
  assert.deepEqual([log, refused(), loads()], [FAILED, 1, 2])
})

test('a failed load after SIGHUP is logged with its cause, and repeated', async (t) => {
  const { configuration, untilTaken, log, refused } = start(t, { beforeLoad: failFirst })
  await configuration.reload()
  assert.deepEqual([log, refused()], [FAILED, 1])
  await untilTaken('the configuration', () => true)
})

test('SIGHUP after a failed load reads at once', async (t) => {
  const { configuration, loads, log } = start(t, { beforeLoad: failFirst, retryMs: 3_600_000 })
  await configuration.reload()
  await configuration.reload()
  assert.deepEqual([log, loads()], [FAILED, 2])
})
