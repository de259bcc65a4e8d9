/** Paths of the configuration that lead to no regular file, or to one that is too large: an error at once, never a wait. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import tls from 'node:tls'
import { test, type TestContext } from 'node:test'
import { loadConfig } from '../../../src/config/load.ts'
import { loadAdminPlace } from '../../../src/config/load-admin.ts'
import { readText } from '../../../src/config/check/pem.ts'
import { readRegularFile } from '../../../src/config/regular-file.ts'
import { watchFiles } from '../../../src/config/watch.ts'
import { createProblems } from '../../../src/config/yaml/problems.ts'
import { readSource } from '../../../src/config/yaml/source.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'
import { certificate, MAIN, ROUTING, temporaryDirectory } from './fixture.ts'
import { oneFile } from './watching.ts'

const MAIN_TS = path.resolve(import.meta.dirname, '../../../src/main.ts')

const makeFifo = (file: string): void => void execFileSync('mkfifo', [file])

/** `mailmux check` in a process of its own, which a blocking open would stop until the deadline. */
function check(directory: string): { status: number | null; lines: string[] } {
  const args = [MAIN_TS, 'check', '-c', path.join(directory, 'mailmux.yaml')]
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 30_000 })
  return { status, lines: stdout.replaceAll(`${directory}/`, '').split('\n') }
}

/** Every key that names a file. */
const ALL_MAIN = `
listeners:
  - {name: imap, protocol: imap, client_ca_file: client-ca}
tls:
  certificates: [{cert: cert, key: key}]
  ticket_secret_file: tickets
directory:
  redis:
    url: rediss://user@127.0.0.1
    password_file: redis-password
    tls: {ca_file: redis-ca, client_cert: redis-cert, client_key: redis-key}
admin: {token_file: token}
`
const ALL_ROUTING = `
backends:
  store1:
    host: 10.0.0.11
    imap: 143
    tls: implicit
    ca_file: backend-ca
    client_cert: backend-cert
    client_key: backend-key
    master: {user: m, password_file: master}
    health: {check: login, user: probe, password_file: probe}
`
const NAMED = [ALL_MAIN, ALL_ROUTING].flatMap((text) =>
  Array.from(text.matchAll(/(?:_file|cert|key): ([\w-]+)/g), (match) => match[1] ?? ''),
)

test('names every file that is a FIFO, and waits for the writer of none', (t) => {
  const directory = temporaryDirectory(t)
  fs.writeFileSync(path.join(directory, 'mailmux.yaml'), ALL_MAIN)
  fs.writeFileSync(path.join(directory, 'routing.yaml'), ALL_ROUTING)
  for (const name of NAMED) makeFifo(path.join(directory, name))
  const { status, lines } = check(directory)
  assert.equal(status, 1)
  for (const name of NAMED)
    assert.ok(
      lines.some((line) => line.endsWith(` error: ${name} is not a regular file`)),
      `${name}\n${lines.join('\n')}`,
    )
})

for (const name of ['mailmux.yaml', 'routing.yaml'])
  test(`does not wait for the writer of a ${name} that is a FIFO`, (t) => {
    const directory = temporaryDirectory(t)
    const files: Record<string, string> = { 'mailmux.yaml': MAIN, 'routing.yaml': ROUTING, ...certificate('mail') }
    for (const [file, text] of Object.entries(files))
      if (file === name) makeFifo(path.join(directory, file))
      else fs.writeFileSync(path.join(directory, file), text)
    const { status, lines } = check(directory)
    assert.equal(status, 1)
    assert.match(lines[0] ?? '', new RegExp(`${name}.* is not a regular file$`))
  })

test('reads no device, whose data may have no end', (t) => {
  const directory = temporaryDirectory(t)
  const main = path.join(directory, 'mailmux.yaml')
  fs.symlinkSync('/dev/zero', main)
  assert.equal(check(directory).status, 1)
  for (const device of ['/dev/zero', '/dev/tty', '/dev/null'])
    assert.deepEqual(readRegularFile(device, 10), { wrong: 'is not a regular file' })
  assert.deepEqual(loadAdminPlace(main, {}), { wrong: `${main} is not a regular file` })
})

test('reads a file up to its limit, and a file of /proc, which has the size 0 in stat', (t) => {
  const file = oneFile(t)
  assert.deepEqual(readRegularFile(file, 3), { value: Buffer.from('one') })
  assert.deepEqual(readRegularFile(file, 2), { wrong: 'is larger than 2 bytes' })
  fs.truncateSync(file, 2 ** 40)
  assert.deepEqual(readRegularFile(file, 4 * 1024 * 1024), { wrong: 'is larger than 4 MiB' })
  assert.deepEqual(readRegularFile('/proc/self/comm', 0), { wrong: 'is larger than 0 bytes' })
  assert.deepEqual(readRegularFile('/proc/sys/kernel/ostype', 10), { value: Buffer.from('Linux\n') })
  assert.deepEqual(readRegularFile(path.dirname(file), 10), { wrong: 'is a directory' })
  assert.deepEqual(readRegularFile(`${file}.absent`, 10), { wrong: 'does not exist' })
})

test('a file that becomes a FIFO is a change, and does not stop the watcher', async (t) => {
  const file = oneFile(t)
  const changed = Promise.withResolvers<undefined>()
  const watcher = watchFiles(
    () => [file],
    () => changed.resolve(undefined),
    { debounceMs: 10 },
  )
  t.after(() => watcher.close())
  makeFifo(`${file}.fifo`)
  fs.renameSync(`${file}.fifo`, file)
  await changed.promise
})

/** Makes each opening fail as it does without a descriptor, until it is taken back. */
function withoutDescriptors(t: TestContext): () => void {
  const { mock } = t.mock.method(fs, 'openSync', () => {
    throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
  })
  return () => mock.restore()
}

const isShortage = { name: 'MuxError', code: 'local-shortage', message: /cannot be read: EMFILE$/ }

test('a file that this machine has no descriptor for is not one that is wrong', (t) => {
  const file = oneFile(t)
  const restore = withoutDescriptors(t)
  assert.throws(() => readRegularFile(file, 1000), isShortage)
  assert.throws(() => loadConfig(file, {}), isShortage)
  restore()
  assert.ok('value' in readRegularFile(file, 1000))
})

/** Makes each allocation fail as V8 does without memory. */
function withoutMemory(): never {
  throw new RangeError('Array buffer allocation failed')
}

const isShortageOfMemory = { name: 'MuxError', code: 'local-shortage', message: /Array buffer allocation failed$/ }

test('a file that this machine has no memory for is not one that is wrong', (t) => {
  const file = oneFile(t)
  const { mock } = t.mock.method(Buffer, 'allocUnsafeSlow', withoutMemory)
  assert.throws(() => readRegularFile(file, 1000), isShortageOfMemory)
  assert.throws(() => loadConfig(file, {}), isShortageOfMemory)
  mock.restore()
  t.mock.method(TextDecoder.prototype, 'decode', withoutMemory)
  assert.throws(() => readText(file), isShortageOfMemory)
})

test('a certificate that this machine has no memory for is not one that is wrong', (t) => {
  const directory = temporaryDirectory(t)
  const main = path.join(directory, 'mailmux.yaml')
  const all = { 'mailmux.yaml': MAIN, 'routing.yaml': ROUTING, ...certificate('mail') }
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(path.join(directory, name), text)
  t.mock.method(tls, 'createSecureContext', withoutMemory)
  assert.throws(() => loadConfig(main, {}), isShortageOfMemory)
})

test('a YAML text that this machine has no memory for is not one that is wrong', () => {
  const problems = createProblems()
  assert.throws(() => readSource('routing.yaml', 'users: {}', {}, problems, withoutMemory), isShortageOfMemory)
  assert.deepEqual(problems.list(), [])
})

test('a change that cannot be read for lack of a descriptor is reported once it can be read', async (t) => {
  const file = oneFile(t)
  const errors: unknown[] = []
  let told = 0
  const watcher = watchFiles(
    () => [file],
    () => {
      told++
    },
    { debounceMs: 10, onError: (error) => errors.push(error) },
  )
  t.after(() => watcher.close())
  const other = `${file}.other`
  fs.writeFileSync(other, 'two')
  const restore = withoutDescriptors(t)
  fs.renameSync(other, file)
  await until(
    START_DEADLINE_MS,
    () => errors.length > 0 || undefined,
    () => 'no shortage is told',
  )
  assert.equal(told, 0)
  restore()
  await until(
    START_DEADLINE_MS,
    () => told === 1 || undefined,
    () => 'the change is not told',
  )
})
