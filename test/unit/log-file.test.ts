/** A log that goes to a file, which logrotate renames. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { createLog } from '../../src/log.ts'
import { openLogOutput, type LogOutput } from '../../src/log-output.ts'
import { until } from '../support/deadline.ts'

const DEADLINE_MS = 20_000

function makeDirectory(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-log-'))
  t.after(() => fs.rmSync(directory, { recursive: true }))
  return directory
}

/** An output whose descriptor of the start is a file too, so that a test sees what goes there. */
function openOutput(directory: string): { output: LogOutput; start: string } {
  const start = path.join(directory, 'start')
  return { output: openLogOutput(fs.openSync(start, 'a')), start }
}

const readLines = (file: string): string[] => fs.readFileSync(file, 'utf8').split('\n').slice(0, -1)

const waitForLines = (file: string, count: number): Promise<string[]> =>
  until(
    DEADLINE_MS,
    () => (readLines(file).length >= count ? readLines(file) : undefined),
    () => `${readLines(file).length} of ${count} lines in ${file}`,
  )

/** The files that this process has open. */
function openFiles(): string[] {
  return fs.readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return [] // the descriptor of this listing
    }
  })
}

test('writes to a file that its owner writes and its group reads', async (t) => {
  const directory = makeDirectory(t)
  const { output, start } = openOutput(directory)
  const file = path.join(directory, 'mailmux.log')
  output.use(file)
  createLog(output, { level: 'info', format: 'json' }).info('first')
  await waitForLines(file, 1)
  assert.equal(fs.statSync(file).mode & 0o7777, 0o640)
  assert.deepEqual(readLines(start), [])
})

test('appends to a file that exists', async (t) => {
  const directory = makeDirectory(t)
  const { output } = openOutput(directory)
  const file = path.join(directory, 'mailmux.log')
  fs.writeFileSync(file, 'of an earlier run\n')
  output.use(file)
  output.write('of this run\n')
  assert.deepEqual(await waitForLines(file, 2), ['of an earlier run', 'of this run'])
})

test('opens a renamed file anew under load: each line is in one of the files once, and the old file is closed', async (t) => {
  const directory = makeDirectory(t)
  const { output } = openOutput(directory)
  const file = path.join(directory, 'mailmux.log')
  output.use(file)
  const log = createLog(output, { level: 'info', format: 'json' })
  let count = 0
  for (let rotation = 1; rotation <= 5; rotation++) {
    for (let line = 0; line < 400; line++) {
      log.info({ count: count++, filling: 'x'.repeat(100) }, 'line')
      if (line % 50 === 0) await new Promise(setImmediate)
    }
    fs.renameSync(file, `${file}.${rotation}`)
    output.reopen()
    // Nothing that is written from now on may go to the renamed file.
    log.info({ rotation }, 'rotated')
  }
  await output.flush(DEADLINE_MS)
  const files = [1, 2, 3, 4, 5].map((rotation) => `${file}.${rotation}`)
  const texts = [...files, file].map((one) => readLines(one))
  const counts = texts.flat().flatMap((line) => (JSON.parse(line) as { count?: number }).count ?? [])
  assert.deepEqual(
    counts,
    Array.from({ length: count }, (_, index) => index),
  )
  for (const [index, lines] of texts.entries())
    for (const line of lines) {
      const { rotation } = JSON.parse(line) as { rotation?: number }
      if (rotation !== undefined) assert.ok(index >= rotation, `the line of rotation ${rotation} is in file ${index}`)
    }
  await until(
    DEADLINE_MS,
    () => !openFiles().some((name) => files.includes(name)) || undefined,
    () => `still open: ${openFiles().join(' ')}`,
  )
})

test('keeps its file if it cannot open another', async (t) => {
  const directory = makeDirectory(t)
  const { output } = openOutput(directory)
  const file = path.join(directory, 'mailmux.log')
  output.use(file)
  assert.throws(() => output.use(path.join(directory, 'missing', 'mailmux.log')), { code: 'ENOENT' })
  assert.throws(() => output.use(directory), { code: 'EISDIR' })
  output.write('goes on\n')
  assert.deepEqual(await waitForLines(file, 1), ['goes on'])
})

test('does not wait for the reader of a FIFO', { timeout: DEADLINE_MS }, (t) => {
  const directory = makeDirectory(t)
  const { output } = openOutput(directory)
  execFileSync('mkfifo', [path.join(directory, 'fifo')])
  assert.throws(() => output.use(path.join(directory, 'fifo')), { code: 'ENXIO' })
})

test('writes the lines that a full disk did not take to the next file', async (t) => {
  const directory = makeDirectory(t)
  const { output } = openOutput(directory)
  const file = path.join(directory, 'mailmux.log')
  output.use('/dev/full')
  output.write('first\n')
  await output.flush(100)
  output.write('second\n')
  output.use(file)
  output.write('third\n')
  assert.deepEqual(await waitForLines(file, 3), ['first', 'second', 'third'])
  assert.equal(output.dropped(), 0)
  await until(
    DEADLINE_MS,
    () => !openFiles().includes('/dev/full') || undefined,
    () => '/dev/full is still open',
  )
})

test('returns to the descriptor of the start, which it never closes', async (t) => {
  const directory = makeDirectory(t)
  const { output, start } = openOutput(directory)
  const file = path.join(directory, 'mailmux.log')
  output.write('before\n')
  output.use(file)
  await waitForLines(start, 1)
  output.use(undefined)
  output.reopen()
  output.write('after\n')
  assert.deepEqual(await waitForLines(start, 2), ['before', 'after'])
})
