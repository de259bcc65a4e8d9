/** Remembered routes on disk: always complete, accessible to the owner only. No state of the file prevents a start. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Log } from '../../../../src/log.ts'
import type { RememberedRoute } from '../../../../src/directory/remembered/route-cache.ts'
import {
  keepSnapshot,
  loadSnapshot,
  loadSnapshots,
  snapshotFileOf,
} from '../../../../src/directory/remembered/snapshot-file.ts'
import { READ_DEADLINE_MS } from '../../../support/deadline.ts'
import { keepLog } from '../../backend/fixture.ts'

/** A directory of its own, a log that is kept, and a cache of which a test says what is in it. */
function openDisk(t: TestContext) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-snapshot-'))
  t.after(() => fs.rmSync(directory, { recursive: true }))
  const said: { level: string; cause?: unknown; routes?: unknown; msg: unknown }[] = []
  const say = (level: string) => (fields: object, msg?: string) => void said.push({ level, ...fields, msg })
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') } as unknown as Log
  const routes = new Map<string, RememberedRoute>()
  const complete: number[] = []
  let revision = 0
  const file = path.join(directory, 'routes')
  return {
    directory,
    file,
    said,
    complete,
    know: (user: string, backend: string): void => {
      revision++
      routes.set(user, { user, entry: { backend, login: undefined, status: 'active' }, ageMs: 0 })
    },
    keep: (where = file) =>
      keepSnapshot(
        where,
        'store',
        {
          users: (most) => [...routes.keys()].slice(0, most),
          remembered: (user) => routes.get(user),
          revision: () => revision,
        },
        log,
        { snapshotIsComplete: (atMs) => void complete.push(atMs) },
      ),
    load: (where = file) =>
      loadSnapshot(where, { store: 'store', nowMs: Date.now(), maxStaleMs: 60_000 }, log)?.routes ?? [],
  }
}

const homes = (routes: readonly RememberedRoute[]) => routes.map(({ user, entry }) => `${user} ${entry.backend}`)

test('writes the remembered routes at the stop, readable by the owner alone, and leaves no other file', async (t) => {
  const { directory, file, know, keep, load, said } = openDisk(t)
  const keeper = keep()
  know('alice@example.test', 'store1')
  know('bob@example.test', 'store2')
  await keeper.close()
  assert.deepEqual(homes(load()), ['alice@example.test store1', 'bob@example.test store2'])
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(fs.readdirSync(directory), ['routes'])
  assert.deepEqual(said, [{ level: 'info', file, routes: 2, msg: 'known routes read from disk' }])
})

test('writes more than one piece', async (t) => {
  const { know, keep, load } = openDisk(t)
  const keeper = keep()
  for (let user = 0; user < 1234; user++) know(`user${user}@example.test`, 'store1')
  await keeper.close()
  assert.equal(load().length, 1234)
})

test('writes nothing where nothing has changed', async (t) => {
  const { file, know, keep } = openDisk(t)
  know('alice@example.test', 'store1')
  await keep().close()
  assert.equal(fs.existsSync(file), false)
})

test('writes from time to time what has changed since', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { file, know, keep, load } = openDisk(t)
  const keeper = keep()
  /** Lets time pass, in which the disk does what it has to. */
  const pass = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const written = async (home: string): Promise<void> => {
    const end = performance.now() + READ_DEADLINE_MS
    while (!fs.existsSync(file) || !homes(load()).includes(home)) {
      assert.ok(performance.now() < end, `${home} is not written`)
      await pass(30_000)
    }
  }
  know('alice@example.test', 'store1')
  await pass(29_999)
  assert.equal(fs.existsSync(`${file}.tmp`), false)
  await written('alice@example.test store1')
  const first = fs.statSync(file).ino
  for (let turn = 0; turn < 100; turn++) await pass(30_000)
  assert.equal(fs.statSync(file).ino, first, 'nothing has changed')
  know('alice@example.test', 'store2')
  await written('alice@example.test store2')
  await keeper.close()
})

test('reports when the file has all routes: at the start, and at each look that finds it so or makes it so', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_800_000_000_000 })
  const { directory, know, keep, complete } = openDisk(t)
  const home = path.join(directory, 'home')
  const keeper = keep(path.join(home, 'routes'))
  assert.deepEqual(complete.splice(0), [1_800_000_000_000])
  const look = async (): Promise<void> => {
    t.mock.timers.tick(30_000)
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  await look()
  assert.deepEqual(complete.splice(0), [1_800_000_030_000], 'nothing has changed')
  know('alice@example.test', 'store1')
  const end = performance.now() + READ_DEADLINE_MS
  for (let turn = 0; turn < 10; turn++) await look()
  assert.deepEqual(complete, [], 'the directory of the file is missing')
  fs.mkdirSync(home)
  while (complete.length === 0 && performance.now() < end) await look()
  assert.ok(complete.length > 0, 'written, and not reported')
  await keeper.close()
})

test('replaces what was there, what a dying process has left beside it too', async (t) => {
  const { directory, file, know, keep, load } = openDisk(t)
  fs.writeFileSync(file, 'garbage')
  fs.writeFileSync(`${file}.tmp`, 'half of', { mode: 0o666 })
  const keeper = keep()
  know('alice@example.test', 'store1')
  await keeper.close()
  assert.deepEqual(homes(load()), ['alice@example.test store1'])
  assert.deepEqual(fs.readdirSync(directory), ['routes'])
})

test('does not follow a link at the path of the temporary file', async (t) => {
  const { directory, file, know, keep, load } = openDisk(t)
  const other = path.join(directory, 'other')
  fs.writeFileSync(other, 'precious')
  fs.symlinkSync(other, `${file}.tmp`)
  const keeper = keep()
  know('alice@example.test', 'store1')
  await keeper.close()
  assert.equal(fs.readFileSync(other, 'utf8'), 'precious')
  assert.equal(load().length, 1)
})

test('says once why it cannot write, keeps what was there, and goes on', async (t) => {
  const { directory, know, keep, said } = openDisk(t)
  const keeper = keep(path.join(directory, 'absent', 'routes'))
  know('alice@example.test', 'store1')
  await keeper.close()
  await keeper.close()
  assert.deepEqual(
    said.map(({ level, cause, msg }) => ({ level, cause, msg })),
    [{ level: 'error', cause: 'ENOENT', msg: 'known routes cannot be written to disk' }],
  )
})

test('returns no routes without a file, and logs nothing', (t) => {
  const { load, said } = openDisk(t)
  assert.deepEqual(load(), [])
  assert.deepEqual(said, [])
})

test('refuses what is no file of its own, with a line in the log, and waits for nothing', async (t) => {
  const { directory, file, know, keep, load, said } = openDisk(t)
  const keeper = keep()
  know('alice@example.test', 'store1')
  await keeper.close()
  const whole = fs.readFileSync(file)
  const refusal = (where = file): unknown => {
    assert.deepEqual(load(where), [])
    const { level, cause, msg } = said.at(-1)!
    assert.deepEqual({ level, msg }, { level: 'error', msg: 'known routes on disk are refused' })
    return cause
  }
  fs.chmodSync(file, 0o620)
  assert.equal(refusal(), 'others may write to it')
  fs.chmodSync(file, 0o602)
  assert.equal(refusal(), 'others may write to it')
  fs.chmodSync(file, 0o600)
  for (const mode of [0o720, 0o702, 0o777]) {
    fs.chmodSync(directory, mode)
    assert.equal(refusal(), `others may write to its directory: ${directory}`)
  }
  fs.chmodSync(directory, 0o1777)
  assert.equal(load().length, 1, 'in a sticky directory others cannot replace it')
  fs.chmodSync(directory, 0o700)
  const open = path.join(directory, 'open')
  fs.mkdirSync(open)
  fs.chmodSync(open, 0o777)
  const link = path.join(open, 'link')
  fs.symlinkSync(file, link)
  assert.equal(refusal(link), `others may write to its directory: ${open}`)
  fs.copyFileSync(file, path.join(open, 'routes'))
  const outside = path.join(directory, 'outside')
  fs.symlinkSync(path.join(open, 'routes'), outside)
  assert.equal(refusal(outside), `others may write to its directory: ${open}`)
  fs.chmodSync(file, 0o644)
  assert.equal(load().length, 1, "that others may read it is the operator's choice")
  fs.writeFileSync(file, whole.subarray(0, -1))
  assert.equal(refusal(), 'cut short')
  fs.truncateSync(file, 256 * 1024 ** 2 + 1) // a hole: nothing of it is read
  assert.equal(refusal(), 'too large')
  assert.equal(refusal(directory), 'no file')
  const pipe = path.join(directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  assert.equal(refusal(pipe), 'no file')
})

test('of several workers each writes a file of its own, and all are read', async (t) => {
  const { directory, file, know, keep, said } = openDisk(t)
  const origin = { store: 'store', nowMs: Date.now(), maxStaleMs: 60_000 }
  const { log } = keepLog()
  assert.deepEqual(loadSnapshots(file, origin, log), { routes: [] })
  const save = async (worker: number) => {
    const keeper = keep(snapshotFileOf(file, worker))
    know(`worker${worker}@example.test`, 'store1')
    await keeper.close()
  }
  for (const worker of [1, 2, 12]) await save(worker)
  assert.deepEqual(fs.readdirSync(directory).sort(), ['routes', 'routes.12', 'routes.2'])
  const users = loadSnapshots(file, origin, log).routes.map(({ user }) => user)
  assert.deepEqual(users.sort(), ['worker12@example.test', 'worker1@example.test', 'worker2@example.test'])
  assert.deepEqual(said, [])
})

test('uses the newest route of a user from all workers, and refuses a faulty file separately', async (t) => {
  const { directory, file } = openDisk(t)
  const origin = { store: 'store', nowMs: Date.now(), maxStaleMs: 600_000 }
  const { log, lines } = keepLog()
  const write = async (worker: number, backend: string, ageMs: number) => {
    const route: RememberedRoute = { user: 'alice', entry: { backend, login: undefined, status: 'active' }, ageMs }
    let revision = 0
    const cache = { users: () => ['alice'], remembered: () => route, revision: () => revision }
    const keeper = keepSnapshot(snapshotFileOf(file, worker), 'store', cache, log)
    revision++
    await keeper.close()
  }
  await write(1, 'store1', 50_000)
  await write(2, 'store2', 10_000)
  await write(3, 'store3', 90_000)
  fs.writeFileSync(path.join(directory, 'routes.4'), 'rubbish')
  fs.writeFileSync(path.join(directory, 'routes.old'), 'not ours')
  assert.deepEqual(homes(loadSnapshots(file, origin, log).routes), ['alice store2'])
  const refused = lines.filter(({ message }) => message === 'known routes on disk are refused')
  assert.deepEqual(
    refused.map((line) => line.file),
    [path.join(directory, 'routes.4')],
  )
})

test('keeps the id of the marker, without a route too, and reads the one that a worker saw last', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
  const { file } = openDisk(t)
  const { log } = keepLog()
  const write = async (worker: number, id: string | undefined): Promise<void> => {
    const seen: { marker?: string | undefined } = {}
    let revision = 0
    const source = { users: () => [], remembered: () => undefined, revision: () => revision, marker: () => seen.marker }
    const keeper = keepSnapshot(snapshotFileOf(file, worker), 'store', source, log)
    seen.marker = id
    revision++
    await keeper.close()
  }
  await write(1, 'of-today')
  t.mock.timers.setTime(1_800_000_001_000)
  await write(2, 'of-tomorrow')
  await write(3, 'of-tomorrow')
  t.mock.timers.setTime(1_800_000_002_000)
  await write(4, undefined) // of a worker that has seen no directory yet
  const origin = { store: 'store', nowMs: Date.now(), maxStaleMs: 1 }
  assert.deepEqual(loadSnapshots(file, origin, log), { routes: [], marker: 'of-tomorrow' })
})
