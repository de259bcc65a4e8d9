/** What `mailmux route import` reads: a regular file, or standard input, of which nothing stays on the disk. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { importRoutes } from '../../../../src/cli/routes/import.ts'

const ADDED = 'alice@example.test,store1\n'

function setUp(t: TestContext, input: Readable) {
  const directory = mkdtempSync(join(tmpdir(), 'mailmux-source-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const spool = join(directory, 'tmp')
  mkdirSync(spool)
  const before = process.env.TMPDIR
  process.env.TMPDIR = spool
  t.after(() => {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  })
  const errors: string[] = []
  const stop = new AbortController()
  const terminal = {
    env: {},
    out: () => undefined,
    printError: (line: string) => void errors.push(line),
    stop: stop.signal,
    stdin: () => input,
    showProgress: undefined,
  }
  const config = join(directory, 'absent.yaml')
  const read = (file: string) => importRoutes(file, { config, format: 'csv' }, terminal)
  return { directory, read, errors, stop, left: () => readdirSync(spool) }
}

test('refuses a FIFO, which cannot be read twice, also if the format is given', async (t) => {
  const { directory, read, errors } = setUp(t, Readable.from([]))
  const fifo = join(directory, 'fifo')
  execFileSync('mkfifo', [fifo])
  assert.equal(await read(fifo), 2)
  assert.deepEqual(errors, [`mailmux route import: ${fifo} is not a regular file; for a pipe give - as the file`])
})

test('is interrupted while it waits for standard input, and leaves no file behind', async (t) => {
  const input = new Readable({ read: () => undefined })
  input.push(ADDED)
  const { read, errors, stop, left } = setUp(t, input)
  const code = read('-')
  stop.abort(new Error('interrupted'))
  const inTime = AbortSignal.timeout(10_000)
  const late = new Promise((resolve) => void (inTime.onabort = () => resolve('waits still')))
  assert.equal(await Promise.race([code, late]), 75)
  assert.deepEqual(errors, ['mailmux route import: interrupted; nothing was written'])
  assert.deepEqual(left(), [])
})

test('leaves no file behind if standard input fails', async (t) => {
  const failure = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' })
  const input = new Readable({ read: () => void input.destroy(failure) })
  const { read, errors, left } = setUp(t, input)
  assert.equal(await read('-'), 2)
  assert.deepEqual(errors, ['mailmux route import: -: EIO'])
  assert.deepEqual(left(), [])
})
