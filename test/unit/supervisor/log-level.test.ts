/** The level of the log that an operator sets for a time. */
import assert from 'node:assert/strict'
import { mock, test, type TestContext } from 'node:test'
import { createLog } from '../../../src/log.ts'
import { createLogLevel } from '../../../src/supervisor/log-level.ts'
import { NO_LOG_OUTPUT } from '../../support/no-log-output.ts'

function open(t: TestContext) {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  t.after(() => mock.timers.reset())
  const lines: string[] = []
  const log = createLog({ ...NO_LOG_OUTPUT, write: (line) => void lines.push(line) }, { level: 'info', format: 'json' })
  const told: (string | undefined)[] = []
  const level = createLogLevel(log, (next) => Promise.resolve(void told.push(next)))
  const writes = (): boolean => {
    const before = lines.length
    log.debug('a detail')
    return lines.length > before
  }
  return { log, level, told, lines, writes }
}

test('a level counts in all processes until its time is over', async (t) => {
  const { level, told, lines, writes } = open(t)
  assert.equal(writes(), false)
  const { leftMs = 0, ...answer } = await level.set({ level: 'debug', forMs: 300_000 })
  assert.deepEqual(answer, { level: 'debug', configured: 'info' })
  assert.ok(leftMs > 200_000 && leftMs <= 300_000)
  assert.equal(writes(), true)
  mock.timers.tick(299_999)
  assert.equal(writes(), true)
  mock.timers.tick(1)
  assert.equal(writes(), false)
  assert.deepEqual(level.status(), { level: 'info', configured: 'info' })
  assert.equal(told.at(-1), undefined)
  assert.match(lines.at(-1) ?? '', /log level is that of the configuration again/u)
})

test('a worker that is started again is told too, and no more after a reset', async (t) => {
  const { level, told, writes } = open(t)
  await level.set({ level: 'debug' })
  assert.deepEqual(told, ['debug'])
  mock.timers.tick(2000)
  assert.deepEqual(told, ['debug', 'debug'])
  assert.deepEqual(await level.reset(), { level: 'info', configured: 'info' })
  assert.equal(writes(), false)
  mock.timers.tick(10_000)
  assert.deepEqual(told, ['debug', 'debug', undefined])
})

test('a reload changes what counts after it, and not before', async (t) => {
  const { log, level, writes } = open(t)
  await level.set({ level: 'debug', forMs: 1000 })
  log.configure({ level: 'warn', format: 'json' })
  assert.deepEqual([level.status().level, level.status().configured, writes()], ['debug', 'warn', true])
  mock.timers.tick(1000)
  assert.deepEqual(level.status(), { level: 'warn', configured: 'warn' })
})

test('the last order counts, with its own time', async (t) => {
  const { level, writes } = open(t)
  await level.set({ level: 'debug', forMs: 1000 })
  await level.set({ level: 'debug', forMs: 5000 })
  mock.timers.tick(1000)
  assert.equal(writes(), true)
  mock.timers.tick(4000)
  assert.equal(writes(), false)
})
