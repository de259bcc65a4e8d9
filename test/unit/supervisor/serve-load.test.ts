/** What one process reads of the configuration is what the other gets. The channel between them is a copy of each message. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadConfig, type LoadResult } from '../../../src/config/load.ts'
import { serveLoad } from '../../../src/supervisor/serve-load.ts'
import { unpack } from '../../../src/supervisor/packed.ts'
import { createTableReceiver } from '../../../src/supervisor/table-pieces.ts'
import { certificate, MAIN, ROUTING, temporaryDirectory } from '../config/fixture.ts'

function write(t: TestContext, files: Record<string, string>): string {
  const directory = temporaryDirectory(t)
  const all = { 'mailmux.yaml': MAIN, 'routing.yaml': ROUTING, ...certificate('mail'), ...files }
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(path.join(directory, name), text)
  return path.join(directory, 'mailmux.yaml')
}

async function loadElsewhere(mainFile: string, env = {}): Promise<{ result: LoadResult; largest: number }> {
  const receiver = createTableReceiver()
  const results: LoadResult[] = []
  let largest = 0
  await serveLoad({ mainFile }, env, (message) => {
    const arrived = structuredClone(message)
    if ('users' in arrived) {
      if (arrived.users.is !== 'first') largest = Math.max(largest, arrived.users.octets.byteLength)
      receiver.accept(arrived.users)
    }
    if ('result' in arrived) results.push(unpack(arrived.result, receiver.table()))
    return Promise.resolve()
  })
  assert.ok(results[0])
  return { result: results[0], largest }
}

test('gives the settings that a load in this process gives, secrets included', async (t) => {
  const main = write(t, {
    'mailmux.yaml': `${MAIN}admin: {listen: "127.0.0.1:\${PORT}", token_file: token}\n`,
    token: 'open-sesame\n',
  })
  const env = { PORT: '9144' }
  const { result: there } = await loadElsewhere(main, env)
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
  const { result } = await loadElsewhere(main)
  assert.deepEqual(result, loadConfig(main, {}))
  assert.equal(result.settings, undefined)
  assert.equal(result.problems.length, 2)
})

test('sends many users in small pieces', async (t) => {
  const users = Array.from({ length: 10_000 }, (_, index) => `  user${index}@example.org: store1\n`)
  const main = write(t, { 'routing.yaml': ROUTING + users.join('') })
  const { result, largest } = await loadElsewhere(main)
  assert.equal(result.settings?.routing.users.size, 10_001)
  assert.deepEqual(result.settings.routing.users.get('user9999@example.org'), { backend: 'store1', login: undefined })
  assert.ok(largest <= 65_536)
})
