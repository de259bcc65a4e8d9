/** The log in a file: SIGUSR1 has every process open it anew, and the real logrotate loses no line with the file of contrib/logrotate. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until, within } from '../support/deadline.ts'
import { launchMailmux, writeConfiguration, type MailmuxPorts } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { listProcesses } from '../support/process-tree.ts'
import type { Program } from '../support/processes.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'

const DEADLINE_MS = 20_000
const ROTATION = readFileSync(join(import.meta.dirname, '../../contrib/logrotate/mailmux'), 'utf8')

let scene: Scene
let directory: string
let file: string
let ports: MailmuxPorts
beforeEach(() => {
  scene = openScene()
  directory = join(scene.directory, 'log')
  file = join(directory, 'mailmux.log')
})
afterEach(() => scene.close())

async function configure(workers: number): Promise<string> {
  const [imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin] = await Promise.all(Array.from({ length: 7 }, freePort))
  ports = { imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin } as MailmuxPorts
  const authority = await makeAuthority(scene.directory)
  const { configFile } = await writeConfiguration(scene, ports, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
    settings: { workers, log: { level: 'info', format: 'json', file: 'log/mailmux.log' } },
  })
  return configFile
}

async function start(workers: number): Promise<Program> {
  mkdirSync(directory)
  const program = launchMailmux(scene, await configure(workers))
  await waitForLines(file, '"msg":"ready"', 1, START_DEADLINE_MS * 3)
  return program
}

const readLines = (name: string): string[] =>
  existsSync(name) ? readFileSync(name, 'utf8').split('\n').slice(0, -1) : []

const count = (name: string, part: string): number => readLines(name).filter((line) => line.includes(part)).length

const waitForLines = (name: string, part: string, lines: number, ms = DEADLINE_MS): Promise<true> =>
  until(
    ms,
    () => count(name, part) >= lines || undefined,
    () => `${count(name, part)} of ${lines} lines with ${part} in ${name}:\n${readLines(name).slice(-10).join('\n')}`,
  )

/** A client that logs out: one line of the log. */
async function visit(): Promise<void> {
  const socket = connect(ports.imap, '127.0.0.1')
  socket.resume().write('a LOGOUT\r\n')
  await within(DEADLINE_MS, once(socket, 'close'), () => 'a client was not served')
}

async function visits(number: number): Promise<void> {
  for (let index = 0; index < number; index++) await visit()
}

/** The processes of this mailmux that have the file open. */
const processesWith = (pid: number, name: string): string[] =>
  listProcesses(pid).filter((one) =>
    readdirSync(`/proc/${one}/fd`).some((fd) => readlinkSync(`/proc/${one}/fd/${fd}`) === name),
  )

for (const workers of [1, 2]) {
  const processes = workers === 1 ? 1 : workers + 1

  describe(`with workers: ${workers}`, () => {
    test('SIGUSR1 has every process write to the new file, and a failure leaves the log where it is', async () => {
      const program = await start(workers)
      await visits(10)
      await waitForLines(file, 'session ended', 10)
      renameSync(file, `${file}.1`)
      program.signal('SIGUSR1')
      await waitForLines(file, 'log file reopened', processes)
      assert.deepEqual(processesWith(program.pid, `${file}.1`), [])
      assert.equal(processesWith(program.pid, file).length, processes)
      await visits(10)
      await waitForLines(file, 'session ended', 10)
      assert.equal(count(`${file}.1`, 'session ended'), 10)

      // What cannot be opened is reported in the old file, and stops nothing.
      renameSync(file, `${file}.2`)
      mkdirSync(file)
      program.signal('SIGUSR1')
      await waitForLines(`${file}.2`, '"cause":"EISDIR","msg":"log file cannot be opened"', processes)
      await visits(5)
      await waitForLines(`${file}.2`, 'session ended', 15)
      rmSync(file, { recursive: true })
      program.signal('SIGUSR1')
      await waitForLines(file, 'log file reopened', processes)
      assert.deepEqual(await program.stop(), { code: 0, signal: null })
      assert.match(readLines(file).at(-1) ?? '', /"msg":"stopped"/)
      assert.equal(program.stdout(), '')
      assert.equal(program.stderr(), '')
    })

    test('logrotate renames the file while clients come and go, and no line is lost', async () => {
      const program = await start(workers)
      const programs = join(scene.directory, 'bin')
      mkdirSync(programs)
      writeFileSync(
        join(programs, 'systemctl'),
        `#!/bin/sh\n[ "$*" = 'kill --kill-who=main --signal=USR1 mailmux.service' ] && kill -USR1 ${program.pid}\n`,
      )
      chmodSync(join(programs, 'systemctl'), 0o755)
      const configuration = join(scene.directory, 'rotation')
      const [user, group] = [await run('id', ['-un']), await run('id', ['-gn'])].map(({ stdout }) => stdout.trim())
      const rotation = ROTATION.replaceAll('/var/log/mailmux/mailmux.log', file).replace(
        'mailmux mailmux',
        `${user} ${group}`,
      )
      writeFileSync(configuration, rotation, { mode: 0o644 })
      for (let turn = 1; turn <= 3; turn++) {
        const visiting = visits(30)
        const state = join(scene.directory, 'state')
        const path = `${programs}:${process.env.PATH}`
        const rotated = await run('env', [`PATH=${path}`, 'logrotate', '--force', '--state', state, configuration])
        assert.deepEqual(rotated, { code: 0, stdout: '', stderr: '' })
        await visiting
        await waitForLines(file, 'log file reopened', processes)
      }
      await program.stop()
      const files = readdirSync(directory).map((name) => join(directory, name))
      assert.equal(files.length, 4)
      const texts = await Promise.all(files.map(async (name) => (await run('zcat', ['-f', name])).stdout))
      assert.equal(texts.join('').split('session ended').length - 1, 90)
    })
  })
}

test('a reload to another file takes effect in every process, and to one that cannot be opened is refused', async () => {
  const workers = 2
  mkdirSync(directory)
  const configFile = await configure(workers)
  const program = launchMailmux(scene, configFile)
  await waitForLines(file, '"msg":"ready"', 1, START_DEADLINE_MS * 3)
  const rewrite = (name: string): void =>
    writeFileSync(configFile, readFileSync(configFile, 'utf8').replace(/log\/\S+\.log/, name))
  await run('mkfifo', [join(directory, 'fifo.log')])
  rewrite('log/fifo.log')
  program.signal('SIGHUP')
  await waitForLines(file, 'configuration not taken over', 1)
  assert.match(readFileSync(file, 'utf8'), /log\.file: cannot write to .*fifo\.log: ENXIO/)
  const other = join(directory, 'other.log')
  rewrite('log/other.log')
  program.signal('SIGHUP')
  await waitForLines(other, 'configuration taken over', 1)
  assert.deepEqual(processesWith(program.pid, file), [])
  assert.equal(processesWith(program.pid, other).length, workers + 1)
  await visits(3)
  await waitForLines(other, 'session ended', 3)
  assert.deepEqual(await program.stop(), { code: 0, signal: null })
})

test('a file that cannot be opened ends the start with a message', async () => {
  mkdirSync(directory)
  const configFile = await configure(1)
  rmSync(directory, { recursive: true })
  const first = launchMailmux(scene, configFile)
  assert.deepEqual(await first.exited, { code: 1, signal: null })
  assert.match(first.stderr(), /mailmux\.yaml:\d+:\d+: error: the directory .*log does not exist/)

  mkdirSync(directory)
  await run('mkfifo', [file]) // without a reader
  const second = launchMailmux(scene, configFile)
  assert.deepEqual(await second.exited, { code: 1, signal: null })
  assert.equal(second.stderr(), `mailmux: log.file: cannot write to ${file}: ENXIO\n`)
})
