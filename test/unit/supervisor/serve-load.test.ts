/** What one process reads of the configuration is what the other gets. The channel between them is a copy of each message. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadConfig, type LoadResult } from '../../../src/config/load.ts'
import { buildUserTable } from '../../../src/config/build/user-table.ts'
import { serveLoad, type LoadMessage } from '../../../src/supervisor/serve-load.ts'
import { unpack, type Packed } from '../../../src/supervisor/packed.ts'
import { createTableReader, tableStream } from '../../../src/supervisor/table-stream.ts'
import { version } from '../../../src/version.ts'
import { certificate, MAIN, ROUTING, temporaryDirectory } from '../config/fixture.ts'

function write(t: TestContext, files: Record<string, string>): string {
  const directory = temporaryDirectory(t)
  const all = { 'mailmux.yaml': MAIN, 'routing.yaml': ROUTING, ...certificate('mail'), ...files }
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(path.join(directory, name), text)
  return path.join(directory, 'mailmux.yaml')
}

/** @param chunk octets of the table that arrive at once */
async function loadElsewhere(mainFile: string, env = {}, chunk = 64 * 1024): Promise<LoadResult> {
  const written: Uint8Array[] = []
  const results: Packed<LoadResult>[] = []
  await serveLoad({ mainFile, version }, env, {
    send(message) {
      const arrived = structuredClone(message)
      if ('result' in arrived) results.push(arrived.result)
      return Promise.resolve()
    },
    write(octets) {
      written.push(octets)
      return Promise.resolve()
    },
  })
  const reader = createTableReader()
  const stream = Buffer.concat(written)
  for (let at = 0; at < stream.length; at += chunk) {
    assert.equal(reader.table(), undefined)
    reader.accept(stream.subarray(at, at + chunk))
  }
  assert.ok(results[0])
  return unpack(results[0], reader.table())
}

test('gives the settings that a load in this process gives, secrets included', async (t) => {
  const main = write(t, {
    'mailmux.yaml': `${MAIN}admin: {listen: "127.0.0.1:\${PORT}", token_file: token}\n`,
    token: 'open-sesame\n',
  })
  const env = { PORT: '9144' }
  const there = await loadElsewhere(main, env)
  const here = loadConfig(main, env)
  assert.deepEqual({ ...there, settings: undefined }, { ...here, settings: undefined })
  assert.ok(there.settings && here.settings)
  const [{ routing, ...rest }, { routing: routingHere, ...restHere }] = [there.settings, here.settings]
  assert.deepEqual(rest, restHere)
  assert.deepEqual([...routing.users], [...routingHere.users])
  assert.deepEqual({ ...routing, users: undefined }, { ...routingHere, users: undefined })
  assert.equal(rest.admin?.token?.reveal(), 'open-sesame')
})

test('gives the problems that a load in this process gives', async (t) => {
  const main = write(t, { 'routing.yaml': `${ROUTING}  bob@example.test: store2\n  bob@example.test: store1\n` })
  const result = await loadElsewhere(main)
  assert.deepEqual(result, loadConfig(main, {}))
  assert.equal(result.settings, undefined)
  assert.equal(result.problems.length, 2)
})

test('reports missing memory for the table as a shortage', async (t) => {
  const main = write(t, {})
  t.mock.method(Buffer.prototype, 'writeUInt32LE', () => {
    throw new RangeError('Array buffer allocation failed')
  })
  const messages: LoadMessage[] = []
  await serveLoad(
    { mainFile: main, version },
    {},
    {
      send: (message) => Promise.resolve(void messages.push(message)),
      write: () => Promise.resolve(),
    },
  )
  assert.deepEqual(messages, [{ shortage: 'no memory for the table of users: Array buffer allocation failed' }])
})

test('reads nothing for a supervisor of another version, whose settings may have another form', async (t) => {
  const messages: LoadMessage[] = []
  const output = {
    send: (message: LoadMessage) => Promise.resolve(void messages.push(message)),
    write: () => assert.fail('a table is written'),
  }
  await serveLoad({ mainFile: write(t, {}), version: '99.0.0' }, {}, output)
  assert.deepEqual(messages, [{ otherVersion: version }])
})

for (const chunk of [1, 3, 4096, 10_000_000])
  test(`a table of users arrives whole in chunks of ${chunk} octets`, async (t) => {
    const users = Array.from({ length: 1000 }, (_, index) => `  user${index}@example.org: store1\n`)
    const main = write(t, { 'routing.yaml': ROUTING + users.join('') })
    const { settings } = await loadElsewhere(main, {}, chunk)
    assert.equal(settings?.routing.users.size, 1001)
    assert.deepEqual(settings.routing.users.get('user999@example.org'), { backend: 'store1', login: undefined })
    assert.deepEqual([...settings.routing.users], [...(loadConfig(main, {}).settings?.routing.users ?? [])])
  })

test('a table that is cut short is none, and octets behind a table are an error', () => {
  const stream = Buffer.concat(tableStream(buildUserTable(new Map([['a@b', { backend: 'c', login: undefined }]]))))
  const reader = createTableReader()
  reader.accept(stream.subarray(0, -1))
  assert.equal(reader.table(), undefined)
  assert.throws(() => reader.accept(Buffer.concat([stream.subarray(-1), Buffer.from('x')])), /behind the table/)
})

test('a table without users arrives', () => {
  const reader = createTableReader()
  for (const octets of tableStream(buildUserTable(new Map()))) reader.accept(octets)
  assert.equal(reader.table()?.size, 0)
})
