/** The process that reads the configuration for a running mailmux: it reads once, delays no session, and leaves nothing behind. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadConfig } from '../../src/config/load.ts'
import { createLoader } from '../../src/supervisor/loader.ts'
import { MAIN as PROGRAM, NODE_OF_COMMAND } from '../support/command.ts'
import { START_DEADLINE_MS, within } from '../support/deadline.ts'
import { certificate, MAIN, ROUTING, temporaryDirectory } from '../unit/config/fixture.ts'

function write(t: TestContext, routing: string): string {
  const directory = temporaryDirectory(t)
  const all = { 'mailmux.yaml': MAIN, 'routing.yaml': routing, ...certificate('mail') }
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(path.join(directory, name), text)
  return path.join(directory, 'mailmux.yaml')
}

function build(t: TestContext, command = process.execPath, more: readonly string[] = []) {
  const complaints: string[] = []
  const [, ...options] = [...NODE_OF_COMMAND, ...more]
  const loader = createLoader({
    command,
    args: [...options, PROGRAM, 'load'],
    printError: (text) => void complaints.push(text),
  })
  t.after(() => loader.close())
  return { loader, complaints }
}

const inTime = <T>(promise: Promise<T>): Promise<T> => within(START_DEADLINE_MS, promise, () => 'nothing was loaded')

test('loads what a load in this process does, prepared or not, again and again', async (t) => {
  const { loader, complaints } = build(t)
  const main = write(t, ROUTING)
  const here = loadConfig(main, process.env)
  loader.prepare()
  for (let load = 0; load < 2; load++) {
    const there = await inTime(loader.load(main))
    assert.deepEqual([...(there.settings?.routing.users ?? [])], [...(here.settings?.routing.users ?? [])])
    assert.deepEqual(there.files, here.files)
  }
  assert.deepEqual(complaints, [])
})

test('loads beside a module that writes to standard output', async (t) => {
  const { loader } = build(t, process.execPath, ['--import=data:text/javascript,console.log("an agent has started")'])
  const { settings } = await inTime(loader.load(write(t, ROUTING)))
  assert.equal(settings?.routing.users.size, 1)
})

test('lets this process work while a large file is read', async (t) => {
  const { loader } = build(t)
  const users = Array.from({ length: 20_000 }, (_, index) => `  user${index}@example.org: store1\n`)
  const main = write(t, ROUTING + users.join(''))
  let turns = 0
  const turn = setInterval(() => turns++, 1)
  const { settings } = await inTime(loader.load(main))
  clearInterval(turn)
  assert.equal(settings?.routing.users.size, 20_001)
  assert.ok(turns > 10, `${turns} turns`)
})

test('ends a load when its result is no longer needed', async (t) => {
  const { loader } = build(t)
  const loaded = loader.load(write(t, ROUTING))
  loader.close()
  await assert.rejects(inTime(loaded), { code: 'local-shortage', message: /has ended: SIGKILL/ })
})

test('says that no process can be started', async (t) => {
  const { loader } = build(t, '/nonexistent/node')
  await assert.rejects(inTime(loader.load('mailmux.yaml')), /no process to read the configuration: ENOENT/)
})
