/** Lookups of names in a process without a free descriptor: the resolvers report another error, and mailmux reports the shortage. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Takes every descriptor, looks names up, and prints the codes of the errors. The name server's port is closed in either case. */
const SCRIPT = `
import fs from 'node:fs'
import { createLookup } from './src/backend/endpoint/lookup.ts'
import { createJoinedLookup } from './src/directory/joined-lookup.ts'

const lookups = () => ({
  system: createLookup([]).addresses('store.invalid'),
  addresses: createLookup(['127.0.0.1:9']).addresses('store.invalid'),
  services: createLookup(['127.0.0.1:9']).services('_imap._tcp.store.invalid'),
  directory: new Promise((resolve, reject) =>
    createJoinedLookup()('localhost', { all: true }, (error) => (error ? reject(error) : resolve()))),
})
async function codes() {
  const found = Object.entries(lookups()).map(async ([way, lookup]) => [way, await lookup.then(() => 'found', (error) => error.code)])
  return Object.fromEntries(await Promise.all(found))
}
const taken = []
try {
  for (;;) taken.push(fs.openSync('/', 'r'))
} catch {}
const without = await codes()
for (const descriptor of taken) fs.closeSync(descriptor)
fs.writeSync(1, JSON.stringify({ without, directory: (await codes()).directory }))
process.exit()
`

test('a lookup that fails for want of a descriptor is a local shortage, for back ends and for the directory', async () => {
  const args = ['--nofile=100:100', '--', process.execPath, '--input-type=module', '--eval', SCRIPT]
  const { stdout } = await run('prlimit', args, { cwd: join(import.meta.dirname, '../..') })
  assert.deepEqual(JSON.parse(stdout), {
    without: { system: 'EMFILE', addresses: 'EMFILE', services: 'EMFILE', directory: 'EMFILE' },
    directory: 'found',
  })
})
