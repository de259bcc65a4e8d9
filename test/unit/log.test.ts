/** Where log lines go when their destination is slow, full, closed or broken: to a named pipe whose reader the test is, or is not. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { createLog } from '../../src/log.ts'
import { openLogOutput, type LogOutput } from '../../src/log-output.ts'
import { createRegistry } from '../../src/metrics/readings.ts'
import { until } from '../support/deadline.ts'

const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants
/** Retries of a broken destination come once a second. */
const DEADLINE_MS = 20_000
const BUFFER_BYTES = 64 * 1024

/** A pipe as the process has it on standard output, and its readers, one after another. */
function makePipe(t: TestContext) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-log-'))
  const fifo = path.join(directory, 'pipe')
  execFileSync('mkfifo', [fifo])
  const open = (): number => fs.openSync(fifo, O_RDONLY | O_NONBLOCK)
  let reader: number | undefined = open()
  const writer = fs.openSync(fifo, O_WRONLY | O_NONBLOCK)
  let text = ''
  const close = (): void => {
    if (reader !== undefined) fs.closeSync(reader)
    reader = undefined
  }
  t.after(() => {
    // The writer stays open, since an output never gives up its descriptor: the next socket with that number would get the lines.
    close()
    fs.rmSync(directory, { recursive: true })
  })

  /** Adds what is in the pipe to the text that was read before. */
  function read(): string {
    const buffer = Buffer.alloc(1024 * 1024)
    for (;;) {
      try {
        const count = fs.readSync(reader ?? -1, buffer)
        if (count === 0) return text
        text += buffer.toString('utf8', 0, count)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return text
        throw error
      }
    }
  }
  const linesWith = async (part: string): Promise<string[]> => {
    const missing = (): string => `no ${part} in ${text.length} characters that end in ${text.slice(-200)}`
    await until(DEADLINE_MS, () => read().includes(part) || undefined, missing)
    return text.trimEnd().split('\n')
  }
  return { writer, close, open: () => (reader = open()), read, linesWith }
}

const LONG = 'x'.repeat(180)

for (const format of ['json', 'pretty'] as const) {
  test(`drops and counts what neither the pipe nor the buffer holds, and goes on when the pipe is read (${format})`, async (t) => {
    const pipe = makePipe(t)
    const output = openLogOutput(pipe.writer, BUFFER_BYTES)
    const log = createLog(output, { level: 'info', format })
    const registry = createRegistry(output.dropped)
    // In turns of the event loop, so that the pipe fills, too.
    for (let count = 0; count < 3000; count++) {
      log.info({ count, LONG }, 'line')
      if (count % 10 === 0) await new Promise(setImmediate)
    }
    const dropped = output.dropped()
    assert.ok(dropped > 1000 && dropped < 3000, `${dropped} lines dropped`)
    assert.match(await registry.metrics(), new RegExp(`^mailmux_log_lines_dropped_total ${dropped}$`, 'm'))
    const lines = await pipe.linesWith('log lines dropped')
    const reports = lines.filter((line) => line.includes('log lines dropped'))
    assert.equal(reports.length, 1)
    assert.match(reports[0]!, new RegExp(`"lines":${dropped}\\b`))
    assert.equal(lines.length - 1, 3000 - dropped, 'a line was neither written nor counted, or was torn')
    for (const line of lines) assert.match(line, /(LONG|log lines dropped).*$/)
    log.info('as before')
    await pipe.linesWith('as before')
    assert.equal(output.dropped(), dropped)
  })

  test(`outlives a pipe without a reader, and writes again for the next reader (${format})`, async (t) => {
    const pipe = makePipe(t)
    const output = openLogOutput(pipe.writer, BUFFER_BYTES)
    const log = createLog(output, { level: 'info', format })
    pipe.close()
    for (let count = 0; count < 100; count++) {
      log.info({ count }, 'unread')
      await new Promise(setImmediate)
    }
    await output.flush(DEADLINE_MS) // which ends at the error
    pipe.open()
    const lines = await pipe.linesWith('"count":99')
    assert.equal(lines.length, 100)
    assert.equal(output.dropped(), 0)
  })
}

test('does not wait for a full disk, and not for a pipe that is full', { timeout: DEADLINE_MS }, async (t) => {
  for (const fd of [fs.openSync('/dev/full', 'a'), makePipe(t).writer]) {
    const output = openLogOutput(fd)
    const log = createLog(output, { level: 'info', format: 'json' })
    for (let count = 0; count < 1000; count++) log.info({ count, LONG }, 'line')
    await output.flush(500)
  }
})

/** A log in JSON whose timers stand still, and the texts that it has written: to a pipe at once, to a file in the background. */
function openOnStoppedClock(t: TestContext, destination: 'pipe' | 'file') {
  const writer = destination === 'pipe' ? makePipe(t).writer : makeFile(t)
  const writes: string[] = []
  const hows = new Set<string>()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { write, writeSync } = fs as unknown as Record<
    'write' | 'writeSync',
    (fd: number, ...rest: unknown[]) => number
  >
  t.mock.method(fs, 'write', (fd: number, ...rest: unknown[]): unknown => {
    if (fd !== writer) return write(fd, ...rest)
    hows.add('in the background')
    const [text] = rest as [string]
    const done = rest.at(-1) as (error: null, octets: number) => void
    writes.push(text)
    return void setImmediate(() => done(null, Buffer.byteLength(text)))
  })
  t.mock.method(fs, 'writeSync', (fd: number, ...rest: unknown[]): number => {
    if (fd !== writer) return writeSync(fd, ...rest)
    hows.add('at once')
    const [text] = rest as [string]
    writes.push(text)
    return Buffer.byteLength(text)
  })
  const log = createLog(openLogOutput(writer), { level: 'info', format: 'json' })
  return { log, writes, hows, tick: (ms: number) => t.mock.timers.tick(ms) }
}

function makeFile(t: TestContext): number {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-log-'))
  t.after(() => fs.rmSync(directory, { recursive: true }))
  return fs.openSync(path.join(directory, 'file'), 'a')
}

const countLines = (text: string): number => text.split('\n').length - 1

for (const destination of ['pipe', 'file'] as const) {
  test(`writes a line after a quiet time at once, and those of the next 10 ms together (${destination})`, async (t) => {
    const { log, writes, hows, tick } = openOnStoppedClock(t, destination)
    for (let count = 0; count < 10; count++) {
      log.info({ count }, 'line')
      await new Promise(setImmediate)
    }
    assert.deepEqual(writes.map(countLines), [1])
    tick(10)
    assert.deepEqual(writes.map(countLines), [1, 9])
    await new Promise(setImmediate)
    log.info('soon after')
    assert.equal(writes.length, 2)
    tick(10)
    assert.equal(writes.length, 3)
    await new Promise(setImmediate)
    tick(10)
    log.info('after a quiet time')
    assert.equal(writes.length, 4)
    assert.deepEqual([...hows], [destination === 'pipe' ? 'at once' : 'in the background'])
  })

  test(
    `writes whole lines, and at most 4096 octets of several (${destination})`,
    { timeout: DEADLINE_MS },
    async (t) => {
      const { log, writes, tick } = openOnStoppedClock(t, destination)
      for (let count = 0; count < 100; count++) {
        log.info({ count, detail: 'ü'.repeat(count * 10) }, 'line')
        if (count % 7 === 0) await new Promise(setImmediate)
      }
      log.info({ detail: 'x'.repeat(10_000) }, 'long')
      log.info('last')
      tick(10)
      while (!writes.at(-1)?.includes('last')) await new Promise(setImmediate)
      assert.equal(countLines(writes.join('')), 102)
      for (const text of writes) {
        assert.match(text, /\n$/)
        assert.ok(countLines(text) === 1 || Buffer.byteLength(text) <= 4096, `${Buffer.byteLength(text)} octets`)
      }
    },
  )
}

for (const how of ['flush', 'flushNow'] as const)
  test(`writes the lines of the last milliseconds with ${how}`, { timeout: DEADLINE_MS }, async (t) => {
    const pipe = makePipe(t)
    const output = openLogOutput(pipe.writer)
    const log = createLog(output, { level: 'info', format: 'json' })
    t.mock.timers.enable({ apis: ['setTimeout'] })
    log.info('first')
    while (!pipe.read().includes('first')) await new Promise(setImmediate)
    log.info('second')
    log.info('third')
    if (how === 'flushNow') output.flushNow()
    else await output.flush(DEADLINE_MS)
    while (!pipe.read().includes('third')) await new Promise(setImmediate)
    assert.equal(countLines(pipe.read()), 3)
  })

test('has the date in lines for people', async (t) => {
  const pipe = makePipe(t)
  createLog(openLogOutput(pipe.writer), { level: 'info', format: 'pretty' }, 7).info({ a: 1 }, 'ready')
  const [line = ''] = await pipe.linesWith('ready')
  assert.match(line, /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] INFO.*: ready.*"worker":7,"a":1/)
})

test('has the time of the wall clock to the millisecond, also after the clock was set back', (t) => {
  const lines: string[] = []
  const output = {
    write: (line: string) => void lines.push(line),
    isTerminal: () => false,
    onRecovered: () => undefined,
  }
  const log = createLog(output as unknown as LogOutput, { level: 'info', format: 'json' })
  const times = [
    '1999-12-31T23:59:59.999Z',
    '2000-01-01T00:00:00.000Z',
    '2000-01-01T00:00:00.007Z',
    '2000-01-01T00:00:00.070Z',
    '2000-01-01T00:00:01.070Z',
    '1999-12-31T23:59:59.001Z',
  ]
  let now = ''
  t.mock.method(Date, 'now', () => Date.parse(now)) // once: a second mock of it would be restored to the first
  for (const time of times) {
    now = time
    log.info('line')
  }
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { time: string }).time),
    times,
  )
})

test('takes another level and another format at once', async (t) => {
  const pipe = makePipe(t)
  const log = createLog(openLogOutput(pipe.writer), { level: 'info', format: 'json' })
  assert.equal(log.isLevelEnabled('debug'), false)
  log.debug('one')
  log.configure({ level: 'debug', format: 'pretty' })
  assert.equal(log.isLevelEnabled('debug'), true)
  log.debug('two')
  log.configure({ level: 'error', format: 'json' })
  log.info('three')
  log.error('four')
  const lines = await pipe.linesWith('four')
  assert.equal(lines.length, 2)
  assert.match(lines[0]!, /^\[.*DEBUG.*: two$/)
  assert.match(lines[1]!, /^\{"level":"error".*"msg":"four"\}$/)
})

/** As a back end's text, a file's name, a stack or a key may have it. */
const OBEYED = '\u001b[2J\u0007\u007f\u0085\u009b31m\u061c\u202e\u2066\u2028\r\b'

for (const format of ['json', 'pretty'] as const)
  test(`writes no character that a terminal obeys (${format})`, () => {
    let written = ''
    const output = {
      write: (line: string) => void (written += line),
      isTerminal: () => false,
      onRecovered: () => undefined,
    }
    const log = createLog(output as unknown as LogOutput, { level: 'info', format })
    const err = Object.assign(new Error(`a${OBEYED}b`), { [`key${OBEYED}`]: OBEYED })
    log.error({ err, detail: OBEYED, list: [OBEYED], inner: { [OBEYED]: OBEYED } }, 'defect')
    log.info({ err: OBEYED }, OBEYED)
    assert.match(written, /defect/)
    assert.doesNotMatch(written.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    if (format === 'json') assert.equal((JSON.parse(written.split('\n')[1] ?? '') as { msg: string }).msg, OBEYED)
  })
