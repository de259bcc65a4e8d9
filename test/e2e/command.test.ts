/** The command as `npm install --global` and the container have it: a file that is executed, and says itself what Node is to run it with. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { version } from '../../src/version.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'

test('the command runs by its own first line', async () => {
  const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  const { stdout } = await promisify(execFile)(MAIN, ['--version'], { env })
  assert.equal(stdout, `${version} (node ${process.versions.node})\n`)
})

test('ends with 2 where it does not know the command', async () => {
  const answer = await run(MAILMUX_RUNTIME, [MAIN, 'bogus'], { ms: START_DEADLINE_MS })
  assert.deepEqual([answer.code, answer.stderr.split('\n')[0]], [2, "error: unknown command 'bogus'"])
})
