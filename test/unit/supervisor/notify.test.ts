/** Messages to the service manager, with a program in place of systemd-notify that writes down what it is called with. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Log } from '../../../src/log.ts'
import { createNotifier, takeServiceManager, type Notifier } from '../../../src/supervisor/notify.ts'
import { until } from '../../support/deadline.ts'

const DEADLINE_MS = 20_000

type Scene = {
  notifier: Notifier
  calls: () => string[]
  logged: object[]
  waitForCalls: (count: number) => Promise<string[]>
}

/** @param program the rest of the shell script that stands for systemd-notify */
function open(t: TestContext, { watchdogMs, program = '' }: { watchdogMs?: number; program?: string } = {}): Scene {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-notify-'))
  const file = path.join(directory, 'calls')
  fs.writeFileSync(file, '')
  const script = `#!/bin/sh\nprintf '%s|' "$NOTIFY_SOCKET" "$@" >> '${file}'; echo >> '${file}'\n${program}\n`
  fs.writeFileSync(path.join(directory, 'systemd-notify'), script, { mode: 0o755 })
  const logged: object[] = []
  const note = (fields: object | string, msg?: string): void =>
    void logged.push(typeof fields === 'string' ? { msg: fields } : { ...fields, msg })
  const log: Log = { debug: note, info: note, warn: note, error: note }
  const notifier = createNotifier({ socket: '@manager', watchdogMs, path: `${directory}:${process.env.PATH}` }, log)
  t.after(async () => {
    await notifier.close()
    fs.rmSync(directory, { recursive: true })
  })
  const calls = (): string[] => fs.readFileSync(file, 'utf8').split('\n').slice(0, -1)
  const waitForCalls = (count: number): Promise<string[]> =>
    until(
      DEADLINE_MS,
      () => (calls().length >= count ? calls() : undefined),
      () => `${calls().length} of ${count} calls: ${calls().join(' ')}`,
    )
  return { notifier, calls, logged, waitForCalls }
}

test('sends each state in one call, in the order in which they came', async (t) => {
  const { notifier, waitForCalls, logged } = open(t)
  notifier.ready('serves 3 listeners')
  notifier.reloading()
  notifier.ready('serves 4 listeners')
  notifier.stopping('ends 12 sessions', 30_500)
  const calls = await waitForCalls(4)
  assert.equal(calls[0], '@manager|READY=1|STATUS=serves 3 listeners|')
  assert.match(calls[1] ?? '', /^@manager\|RELOADING=1\|MONOTONIC_USEC=\d+\|$/)
  assert.equal(calls[2], '@manager|READY=1|STATUS=serves 4 listeners|')
  assert.equal(calls[3], '@manager|STOPPING=1|STATUS=ends 12 sessions|EXTEND_TIMEOUT_USEC=30500000|')
  assert.deepEqual(logged, [])
})

test('the time of a reload is that of the monotonic clock in microseconds', async (t) => {
  const { notifier, waitForCalls } = open(t)
  const uptimeUs = (): number => Number(fs.readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1e6
  notifier.reloading()
  const [call = ''] = await waitForCalls(1)
  const sentUs = Number(/MONOTONIC_USEC=(\d+)/.exec(call)?.[1])
  // /proc/uptime counts the time of suspension too, so it is never less, and it is rounded to 10 ms.
  assert.ok(sentUs <= uptimeUs() + 10_000, `${sentUs} is after ${uptimeUs()}`)
  assert.ok(sentUs > 0)
})

test('what stands in a status has no effect in the shell, and is one argument', async (t) => {
  const { notifier, waitForCalls } = open(t)
  notifier.ready('$(id) `id` "* \\n; \'\n\t|READY=0 é')
  assert.deepEqual(await waitForCalls(1), ['@manager|READY=1|STATUS=$(id) `id` "* \\n; \'  |READY=0 é|'])
})

test('settles the message of the main process once it is sent', async (t) => {
  const { notifier, calls } = open(t)
  await notifier.mainPid(4711)
  assert.deepEqual(calls(), ['@manager|MAINPID=4711|'])
})

test('sends all messages before it closes, and none afterwards', async (t) => {
  const { notifier, calls } = open(t)
  notifier.ready('serves')
  notifier.stopping('stops', 0)
  await notifier.close()
  assert.equal(calls().length, 2)
  notifier.ready('serves again')
  await notifier.mainPid(1)
  await notifier.close()
  assert.equal(calls().length, 2)
})

test('logs a failure once, goes on, and logs the next failure after a success', async (t) => {
  const { notifier, logged } = open(t, { program: '[ "$1" != MAINPID=1 ] || { echo "no such socket" >&2; exit 1; }' })
  const failed = { cause: 'no such socket', msg: 'service manager cannot be notified' }
  await notifier.mainPid(1)
  await notifier.mainPid(1)
  assert.deepEqual(logged, [failed])
  await notifier.mainPid(2)
  await notifier.mainPid(1)
  assert.deepEqual(logged, [failed, failed])
})

test('a missing program is logged, and ends nothing', async (t) => {
  const { logged } = open(t)
  const log: Log = { ...console, error: (fields: object) => void logged.push(fields) }
  const notifier = createNotifier({ socket: '@manager', watchdogMs: undefined, path: '/nowhere' }, log)
  await notifier.mainPid(1)
  await notifier.close()
  assert.match(JSON.stringify(logged), /^\[\{"cause":".*systemd-notify: not found"\}\]$/)
})

test('a shell that is killed is started again', async (t) => {
  const { notifier, calls, logged } = open(t, { program: '[ "$1" != MAINPID=1 ] || kill -9 $PPID' })
  await notifier.mainPid(1)
  await notifier.mainPid(2)
  assert.deepEqual(calls(), ['@manager|MAINPID=1|', '@manager|MAINPID=2|'])
  assert.deepEqual(logged, [{ cause: 'SIGKILL', msg: 'service manager cannot be notified' }])
})

test('holds few messages for a service manager that hangs', async (t) => {
  const { notifier, calls } = open(t, { program: '[ "$1" != MAINPID=1 ] || sleep 1' })
  const first = notifier.mainPid(1)
  for (let count = 0; count < 1000; count++) notifier.ready('serves')
  await first
  await notifier.close()
  assert.equal(calls().length, 16)
})

test('the last state reaches a service manager that was slow meanwhile, and what it had replaced does not', async (t) => {
  const { notifier, waitForCalls } = open(t, { program: '[ "$1" != MAINPID=1 ] || sleep 1' })
  const first = notifier.mainPid(1)
  for (let count = 0; count < 100; count++) {
    notifier.reloading()
    notifier.ready(`serves ${count}`)
  }
  await first
  const calls = await waitForCalls(16)
  assert.equal(calls.at(-1), '@manager|READY=1|STATUS=serves 99|')
  assert.equal(calls.length, 16)
})

test('the main process is told to a service manager that was slow meanwhile, also when the state changes after it', async (t) => {
  const { notifier, calls } = open(t, { program: '[ "$1" != MAINPID=1 ] || sleep 1' })
  void notifier.mainPid(1)
  for (let count = 0; count < 100; count++) notifier.reloading()
  const second = notifier.mainPid(2)
  notifier.ready('serves')
  await second
  await notifier.close()
  assert.equal(calls().at(-1), '@manager|MAINPID=2|READY=1|STATUS=serves|')
})

test('a close sends what is late', async (t) => {
  const { notifier, calls } = open(t, { program: '[ "$1" != MAINPID=1 ] || sleep 1' })
  void notifier.mainPid(1)
  for (let count = 0; count < 100; count++) notifier.reloading()
  notifier.stopping('stops', 0)
  await notifier.close()
  assert.equal(calls().at(-1), '@manager|STOPPING=1|STATUS=stops|EXTEND_TIMEOUT_USEC=0|')
})

test('sends a sign of life three times in the time of the watchdog, while it is alive', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { notifier, calls, waitForCalls } = open(t, { watchdogMs: 30_000 })
  let isAlive = true
  notifier.watch(() => isAlive)
  t.mock.timers.tick(9_999)
  assert.deepEqual(calls(), [])
  t.mock.timers.tick(1)
  await waitForCalls(1)
  t.mock.timers.tick(20_000)
  assert.deepEqual(await waitForCalls(3), Array(3).fill('@manager|WATCHDOG=1|'))
  isAlive = false
  t.mock.timers.tick(60_000)
  await notifier.mainPid(1)
  assert.equal(calls().length, 4)
})

test('sends no sign of life without a watchdog', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { notifier, calls } = open(t)
  notifier.watch(() => true)
  t.mock.timers.tick(3_600_000)
  await notifier.mainPid(1)
  assert.equal(calls().length, 1)
})

test('takes what the service manager wants out of the environment', () => {
  const env = { NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7', PATH: '/bin', HOME: '/' }
  assert.deepEqual(takeServiceManager(env, 7), { socket: '/run/n', watchdogMs: 30_000, path: '/bin' })
  assert.deepEqual(env, { PATH: '/bin', HOME: '/' })
  for (const [usec, pid, watchdogMs] of [
    ['30000000', '8', undefined], // the watchdog of another process
    ['30000000', undefined, 30_000],
    ['0', '7', undefined],
    ['-5', '7', undefined],
    ['x', '7', undefined],
    [undefined, undefined, undefined],
  ] as const) {
    const wanted = { NOTIFY_SOCKET: '@n', ...(usec && { WATCHDOG_USEC: usec }), ...(pid && { WATCHDOG_PID: pid }) }
    assert.deepEqual(takeServiceManager(wanted, 7)?.watchdogMs, watchdogMs, JSON.stringify([usec, pid]))
  }
  assert.equal(takeServiceManager({ WATCHDOG_USEC: '1' }, 7), undefined)
  assert.equal(takeServiceManager({ NOTIFY_SOCKET: '' }, 7), undefined)
})
