/** The command as `npm install --global` and the container have it: a file that is executed, and says itself what Node is to run it with. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { version } from '../../src/version.ts'
import { MAIN } from '../support/command.ts'

test('the command runs by its own first line', async () => {
  const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  const { stdout } = await promisify(execFile)(MAIN, ['--version'], { env })
  assert.equal(stdout, `${version}\n`)
})
