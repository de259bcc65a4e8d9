/** Failures of the process that reads the configuration. A script stands for the process; `load-process.test.ts` starts the real one. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { UserTable } from '../../../src/config/build/user-table.ts'
import { createLoader } from '../../../src/supervisor/loader.ts'
import { version } from '../../../src/version.ts'
import { START_DEADLINE_MS, within } from '../../support/deadline.ts'

const STREAM = path.resolve(import.meta.dirname, '../../../src/supervisor/table-stream.ts')
const TABLE = path.resolve(import.meta.dirname, '../../../src/config/build/user-table.ts')

/** Functions for the scripts: `write` sends octets to the reader of the table, `send` a message. */
const PRELUDE = `
const { writeSync } = await import('node:fs')
const write = (octets) => { for (let at = 0; at < octets.length;) at += writeSync(4, octets, at) }
const send = (message) => new Promise((resolve) => process.send(message, undefined, {}, resolve))
const head = (text, length = text.length) => {
  const octets = Buffer.alloc(4 + text.length)
  octets.writeUInt32LE(length)
  octets.write(text, 4)
  return octets
}
const result = { settings: { users: { 'mailmux:users': 1 } }, problems: [], more: { error: 0, warning: 0 }, files: [] }
await new Promise((resolve) => process.once('message', resolve))
`

function build(t: TestContext, script: string, deadlineMs?: number) {
  const printed: string[] = []
  const loader = createLoader(
    {
      command: process.execPath,
      args: ['--input-type=module', '-e', `${PRELUDE}${script}\nprocess.exit(0)`],
      printError: (text) => void printed.push(text),
    },
    deadlineMs,
  )
  t.after(() => loader.close())
  return { printed, load: () => within(START_DEADLINE_MS, loader.load('mailmux.yaml'), () => 'the load has not ended') }
}

const WRITE_TABLE = `
const { tableStream } = await import(${JSON.stringify(STREAM)})
const { buildUserTable } = await import(${JSON.stringify(TABLE)})
for (const octets of tableStream(buildUserTable(new Map([['a@b', { backend: 'c', login: undefined }]])))) write(octets)
`

test('text on the standard output of the process does not disturb the table', async (t) => {
  const { load } = build(t, `console.log('an agent has started'); ${WRITE_TABLE} await send({ result })`)
  const { settings } = (await load()) as { settings: object }
  assert.ok('users' in settings && settings.users instanceof UserTable)
  assert.deepEqual([...settings.users], [['a@b', { backend: 'c', login: undefined }]])
})

const BROKEN = {
  'a head that is no JSON': `write(head('abcde'))`,
  'a head without values': `write(head('{}')); write(Buffer.alloc(10))`,
  'octets behind the table': `${WRITE_TABLE} write(Buffer.alloc(10))`,
  'a head of 4 GiB': `write(head('', 0xffffffff))`,
  'no table': '',
  'half a table': `write(head(JSON.stringify({ size: 1, backends: [], recordOctets: 9, slotCount: 1 })))`,
}
for (const [what, script] of Object.entries(BROKEN))
  test(`${what} is an error of the load, and ends nothing else`, async (t) => {
    const { load } = build(t, `${script}\nawait send({ result })`)
    await assert.rejects(load(), /users (cannot be received|have not arrived)/)
  })

test('a table for which memory is missing is a shortage', async (t) => {
  const head = JSON.stringify({ size: 1, backends: [], recordOctets: 2 ** 50, slotCount: 0 })
  const { load } = build(t, `write(head(${JSON.stringify(head)})); await send({ result })`)
  await assert.rejects(load(), { code: 'local-shortage', message: /allocation failed/ })
})

for (const [what, script] of Object.entries({
  hangs: 'setInterval(() => undefined, 1000)',
  stops: `process.kill(process.pid, 'SIGSTOP')`,
}))
  test(`a process that ${what} is killed at the deadline`, async (t) => {
    const { load } = build(t, `${script}\nawait new Promise(() => undefined)`, 500)
    await assert.rejects(load(), { code: 'local-shortage', message: /has not ended within 0.5 s/ })
  })

// V8 ends a process without memory by SIGABRT (heap) or SIGTRAP (its own tables), the kernel by SIGKILL.
for (const signal of ['SIGABRT', 'SIGTRAP', 'SIGKILL'])
  test(`a process that ends by ${signal} lacks memory`, async (t) => {
    const { load } = build(t, `process.kill(process.pid, '${signal}'); await new Promise(() => undefined)`)
    await assert.rejects(load(), { code: 'local-shortage', message: new RegExp(`has ended: ${signal}`, 'u') })
  })

test('a process that ends early is an error', async (t) => {
  await assert.rejects(build(t, 'process.exit(0)').load(), /has ended: exit code 0/)
  await assert.rejects(build(t, 'process.exit(3)').load(), /has ended: exit code 3/)
})

test('names the version that was installed since the start', async (t) => {
  const { load } = build(t, `await send({ otherVersion: '99.0.0' })`)
  await assert.rejects(load(), {
    message: `mailmux 99.0.0 is installed, and this process is mailmux ${version}: restart it`,
  })
})

test('names the system error if the program cannot be started', async (t) => {
  const loader = createLoader({ command: '/nonexistent/node', args: [], printError: () => undefined })
  t.after(() => loader.close())
  await assert.rejects(loader.load('mailmux.yaml'), /no process to read the configuration: ENOENT/)
})
