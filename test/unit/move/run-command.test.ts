/** The copy command as a process: its environment, its end, and that nothing of it is left. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { PassResult } from '../../../src/move/passes.ts'
import { checkCommand, createRunCommand } from '../../../src/move/run-command.ts'
import { READ_DEADLINE_MS, until } from '../../support/deadline.ts'
import { openTemporaryRoot } from '../../support/temporary.ts'

const ORDER = { user: 'ann@example.test', from: 'store1', to: 'store2' }
const env = { PATH: process.env.PATH }

type Options = { deadlineMs?: number; signal?: AbortSignal; pass?: number | 'final' }

function run(command: string, options: Options = {}): Promise<PassResult> {
  const { deadlineMs = 60_000, signal = new AbortController().signal, pass = 1 } = options
  return createRunCommand(command, env)(ORDER, pass, deadlineMs, signal)
}

function directory(t: TestContext): string {
  const path = mkdtempSync(join(openTemporaryRoot(), 'mailmux-run-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Whether a process runs; one that has ended and waits for its parent does not. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/mu.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function pidIn(file: string): Promise<number> {
  const find = () => Promise.resolve(existsSync(file) ? Number(readFileSync(file, 'utf8')) || undefined : undefined)
  return until(READ_DEADLINE_MS, find, () => 'the command has not written its process id')
}

/** Keeps the event loop from running. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

async function assertEnds(pid: number): Promise<void> {
  await until(
    READ_DEADLINE_MS,
    () => Promise.resolve(!isRunning(pid) || undefined),
    () => `process ${pid} still runs`,
  )
}

test('passes the command the user, both back ends and the pass', async (t) => {
  const file = join(directory(t), 'out')
  const command = `echo "$MAILMUX_USER $MAILMUX_FROM $MAILMUX_TO $MAILMUX_PASS" >> ${file}`
  await run(command)
  await run(command, { pass: 'final' })
  assert.equal(readFileSync(file, 'utf8'), 'ann@example.test store1 store2 1\nann@example.test store1 store2 final\n')
})

test('a user name is data, not a part of the command', async (t) => {
  const file = join(directory(t), 'out')
  const order = { ...ORDER, user: `$(touch ${file}.x)` }
  await createRunCommand(`echo "$MAILMUX_USER" > ${file}`, env)(order, 1, 60_000, new AbortController().signal)
  assert.equal(readFileSync(file, 'utf8'), `${order.user}\n`)
  assert.ok(!existsSync(`${file}.x`))
})

test('reports the exit code and the lines of standard error', async () => {
  const { end, stderr } = await run('printf "one\\n\\n  two\\033[2J\\n" >&2; exit 75')
  assert.deepEqual(end, { code: 75 })
  assert.match(stderr, /^one; two/)
  assert.ok(!stderr.includes('\x1b'), 'no control character reaches the terminal')
})

test('reports the last line of a command that ends together with another', async (t) => {
  const go = join(directory(t), 'go')
  const other = spawn('echo', ['words'], { stdio: ['ignore', 'pipe', 'ignore'] })
  // Node learns of the end of all children at once, after it has read what had arrived before. This one writes and ends in between.
  other.stdout.once('data', () => {
    writeFileSync(go, '')
    block(1000)
  })
  const running = run(`while [ ! -e ${go} ]; do sleep 0.01; done; echo no space >&2; exit 3`)
  block(300) // the other has written and ended
  assert.deepEqual(await running, { end: { code: 3 }, stderr: 'no space' })
})

test('waits no longer for the last line than a second, where a process keeps standard error open', async (t) => {
  const file = join(directory(t), 'pid')
  const { end, stderr } = await run(
    `setsid sh -c 'echo $$ > ${file}; exec sleep 1000' & while [ ! -s ${file} ]; do :; done; echo no space >&2; exit 3`,
  )
  process.kill(await pidIn(file), 'SIGKILL')
  assert.deepEqual({ end, stderr }, { end: { code: 3 }, stderr: 'no space' })
})

test('reports a signal', async () => {
  assert.deepEqual((await run('kill -KILL $$')).end, { signal: 'SIGKILL' })
})

test('bounds what it keeps of standard error', async () => {
  const { end, stderr } = await run('head -c 3000000 /dev/zero | tr "\\0" x >&2; printf "\\nend\\n" >&2')
  assert.deepEqual(end, { code: 0 })
  assert.match(stderr, /^\.\.\.x+; end$/)
  assert.ok(stderr.length <= 1003, String(stderr.length))
  const { stderr: lines } = await run('for i in $(seq 1000); do echo line $i; done >&2')
  assert.match(lines, /^\.\.\..*; line 999; line 1000$/)
  assert.ok(lines.length <= 1003, String(lines.length))
})

test('ends the whole process group at the deadline, also what ignores SIGTERM', async (t) => {
  const file = join(directory(t), 'pid')
  const running = run(`sh -c 'trap "" TERM; echo $$ > ${file}; while :; do sleep 0.1; done' & wait`, {
    deadlineMs: 1000,
  })
  const pid = await pidIn(file)
  assert.equal((await running).end, 'timeout')
  await assertEnds(pid)
})

test('ends the whole process group at an abort', async (t) => {
  const file = join(directory(t), 'pid')
  const abort = new AbortController()
  const running = run(`sleep 1000 & echo $! > ${file}; wait`, { signal: abort.signal })
  const pid = await pidIn(file)
  abort.abort()
  assert.deepEqual((await running).end, { signal: 'SIGTERM' })
  await assertEnds(pid)
})

test('leaves nothing in the background after the command has ended', async (t) => {
  const file = join(directory(t), 'pid')
  const { end } = await run(`sleep 1000 & echo $! > ${file}`)
  assert.deepEqual(end, { code: 0 })
  await assertEnds(await pidIn(file))
})

test('the command ends with a mailmux that is killed, also what ignores SIGTERM', async (t) => {
  const path = directory(t)
  const [first, second] = [join(path, 'first'), join(path, 'second')]
  const command = `trap '' TERM; echo $$ > ${first}; sh -c 'echo $$ > ${second}; while :; do sleep 1; done'; true`
  const module = new URL('../../../src/move/run-command.ts', import.meta.url).href
  const program = `import(${JSON.stringify(module)}).then(({ createRunCommand }) => createRunCommand(${JSON.stringify(command)}, process.env)(
    ${JSON.stringify(ORDER)}, 'final', 60000, new AbortController().signal))`
  const mover = spawn(process.execPath, ['-e', program], { stdio: 'ignore' })
  const pids = [await pidIn(first), await pidIn(second)]
  t.after(() => {
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  })
  mover.kill('SIGKILL')
  for (const pid of pids) await assertEnds(pid)
})

test('does not begin after an abort', async (t) => {
  const file = join(directory(t), 'out')
  const { end } = await run(`sleep 5; touch ${file}`, { signal: AbortSignal.abort() })
  assert.deepEqual(end, { signal: 'SIGTERM' })
  assert.ok(!existsSync(file))
})

test('finds what a command begins with, before it is run', (t) => {
  const path = directory(t)
  writeFileSync(join(path, 'plain'), 'text')
  writeFileSync(join(path, 'good'), '#!/bin/sh\n')
  chmodSync(join(path, 'good'), 0o755)
  const check = (command: string): string | undefined => checkCommand(command, { PATH: `${path}:/usr/bin:/bin` })
  for (const command of [
    'good',
    `${path}/good --flag`,
    'A=1 good',
    'if true; then good; fi',
    '"$TOOL" x',
    '(good)',
    'exec good',
  ])
    assert.equal(check(command), undefined, command)
  assert.equal(check(''), 'the command is empty')
  assert.equal(check('no-such-tool x'), 'no-such-tool is not found in PATH')
  assert.equal(check('plain'), 'plain is not found in PATH')
  assert.equal(check(`${path}/none`), `${path}/none does not exist`)
  assert.equal(check(`${path}/plain`), `${path}/plain is not executable`)
  assert.equal(check(`${path}/`), `${path}/ is not a file`)
})
