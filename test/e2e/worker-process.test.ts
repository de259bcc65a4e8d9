/** A worker's process, as its supervisor has it: started, asked, started again, ended. A small program stands for the worker. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Settings } from '../../src/config/settings.ts'
import { Secret } from '../../src/secret.ts'
import { pack } from '../../src/supervisor/packed.ts'
import { createLedgerHost } from '../../src/limits/ledger-host.ts'
import { createLocalLedger } from '../../src/limits/local-ledger.ts'
import { createSharedMemory } from '../../src/supervisor/shared-memory.ts'
import { createWorker } from '../../src/supervisor/worker.ts'
import type { Worker } from '../../src/supervisor/worker-interface.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { keepLog } from '../unit/backend/fixture.ts'

const SETTINGS = { routing: { users: new Map() } } as unknown as Settings
const GREETING = { worker: 1, ticketSecret: pack(new Secret('')), markers: [], blocks: [] }

/** @param plans what it does at its first start, its second and so on: `serve`, `fail`, `crash`, `deaf`, `full`: it takes no new settings */
function build(t: TestContext, plans: string[], command = process.execPath) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-worker-'))
  const { log, lines } = keepLog()
  const args = [path.join(import.meta.dirname, '../support/fake-worker.ts'), path.join(directory, 'starts'), ...plans]
  let ends = 0
  const worker = createWorker({
    number: 1,
    program: { command, printError: () => undefined, args },
    ports: () => [],
    settings: () => SETTINGS,
    greeting: () => GREETING,
    onShort: () => undefined,
    onLast: () => undefined,
    mayAccept: () => Promise.resolve(),
    onEnded: () => ends++,
    memory: createSharedMemory(() => []),
    ledger: createLedgerHost(createLocalLedger()),
    log,
  })
  t.after(async () => {
    worker.kill()
    await until(
      START_DEADLINE_MS,
      () => worker.state() === 'ended' || undefined,
      () => 'it lives on',
    )
    fs.rmSync(directory, { recursive: true })
  })
  const said = (message: string) => lines.filter((line) => line.message === message)
  return { worker, said, args, ends: () => ends }
}

const reach = (worker: Worker, state: string) =>
  until(
    START_DEADLINE_MS,
    () => worker.state() === state || undefined,
    () => `it is not ${state}`,
  )

test('serves, answers, and ends once on stop', async (t) => {
  const { worker, said, ends } = build(t, ['serve'])
  assert.equal(worker.state(), 'ended')
  const started = worker.start()
  assert.equal(worker.state(), 'starting')
  await assert.rejects(worker.ask({ what: 'ping' }, 1000), /worker 1 does not answer/)
  await started
  assert.equal(worker.state(), 'up')
  assert.equal(await worker.ask({ what: 'ping' }, 5000), 'ping')
  await worker.stop(5000)
  assert.deepEqual([worker.state(), ends(), said('worker ended')], ['ended', 0, []])
})

test('that has no memory for new settings serves on, and its log line has the cause', async (t) => {
  const { worker, said, ends } = build(t, ['full'])
  await worker.start()
  await worker.configure(START_DEADLINE_MS)
  assert.deepEqual(
    said('worker cannot take the configuration').map(({ cause }) => cause),
    ['no memory'],
  )
  assert.deepEqual([worker.state(), ends()], ['up', 0])
})

test('that fails at its first start fails the start, in its own words', async (t) => {
  const { worker } = build(t, ['fail'])
  await assert.rejects(worker.start(), { message: 'no such thing' })
})

test('that ends before it serves fails the start, with how it has ended', async (t) => {
  const { worker } = build(t, ['crash'])
  await assert.rejects(worker.start(), { message: 'worker 1 has ended before it served: exit code 7' })
})

test('that there is no program for fails the start', async (t) => {
  const { worker } = build(t, [], '/nowhere/node')
  await assert.rejects(worker.start(), { message: 'worker 1 has ended before it served: ENOENT' })
})

test('that ends later is started again, later each time while it comes to nothing', async (t) => {
  const { worker, said, ends } = build(t, ['serve', 'fail', 'crash', 'serve'])
  await worker.start()
  const pid = Number(said('worker serves')[0]?.pid)
  process.kill(pid, 'SIGKILL')
  await reach(worker, 'ended')
  await reach(worker, 'up')
  assert.deepEqual(
    said('worker ended').map(({ cause, againMs }) => [cause, againMs]),
    [
      ['SIGKILL', 0],
      ['exit code 1', 100],
      ['exit code 7', 200],
    ],
  )
  assert.deepEqual(
    said('worker cannot serve').map(({ detail }) => detail),
    ['no such thing'],
  )
  assert.equal(ends(), 3)
  assert.equal(await worker.ask({ what: 'ping' }, 5000), 'ping')
})

test('that the system refuses to start is tried again, and does not end the supervisor', async (t) => {
  const { worker, said, args } = build(t, ['serve'])
  await worker.start()
  // E2BIG stands for the errors that `spawn` throws, such as EIO of a disk that fails and ETXTBSY during an installation.
  args.push('x'.repeat(4 * 1024 * 1024))
  process.kill(Number(said('worker serves')[0]?.pid), 'SIGKILL')
  await until(
    START_DEADLINE_MS,
    () => said('worker ended').some(({ cause }) => cause === 'E2BIG') || undefined,
    () => 'the refusal is not logged',
  )
  args.pop()
  await reach(worker, 'up')
  assert.equal(await worker.ask({ what: 'ping' }, 5000), 'ping')
})

test('that the system refuses to start at first fails the start', async (t) => {
  const { worker, args } = build(t, ['serve'])
  args.push('x'.repeat(4 * 1024 * 1024))
  await assert.rejects(async () => worker.start(), { message: 'worker 1 has ended before it served: E2BIG' })
})

test('that does not answer delays no request beyond its deadline, and is killed if it does not end', async (t) => {
  const { worker, said } = build(t, ['deaf'])
  await worker.start()
  await assert.rejects(worker.ask({ what: 'reading' }, 50), /does not answer within 50 ms/)
  await reach(worker, 'not-answering')
  await assert.rejects(worker.ask({ what: 'reading' }, 60_000), /worker 1 does not answer/)
  await until(
    START_DEADLINE_MS,
    () => said('worker does not answer')[0],
    () => 'it is not told',
  )
  await worker.stop(50)
  assert.equal(said('worker does not end and is killed').length, 1)
})
