/** The units of contrib/systemd, as the tools of systemd see them, and what mailmux asks of a kernel that is restricted by them. */
import assert from 'node:assert/strict'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { parse } from 'yaml'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { freeMailmuxPorts, writeConfiguration } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { listProcesses } from '../support/process-tree.ts'
import { startProgram } from '../support/processes.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'

const UNITS = join(import.meta.dirname, '../../contrib/systemd')
const SERVICE = readFileSync(join(UNITS, 'mailmux.service'), 'utf8')
const SOCKETS = globSync('*.socket', { cwd: UNITS })

let scene: Scene
beforeEach(() => (scene = openScene()))
afterEach(() => scene.close())

test('the service has an exposure of at most 2.5', async () => {
  const file = join(UNITS, 'mailmux.service')
  const result = await run('systemd-analyze', ['security', '--offline=true', '--threshold=25', '--no-pager', file])
  assert.equal(result.code, 0, result.stdout + result.stderr)
  assert.match(result.stdout, /Overall exposure level for mailmux\.service: [0-2]\.\d/)
})

test('systemd finds no mistake in the units', async () => {
  // The command must exist.
  writeFileSync(join(scene.directory, 'mailmux.service'), SERVICE.replace('/usr/bin/mailmux', '/bin/true'))
  for (const name of SOCKETS) writeFileSync(join(scene.directory, name), readFileSync(join(UNITS, name)))
  const files = ['mailmux.service', ...SOCKETS].map((name) => join(scene.directory, name))
  assert.deepEqual(await run('systemd-analyze', ['verify', ...files]), { code: 0, stdout: '', stderr: '' })
})

test('each socket unit has the addresses of the listener that it names, in config/mailmux.yaml', () => {
  const text = readFileSync(join(import.meta.dirname, '../../config/mailmux.yaml'), 'utf8')
  const { listeners } = parse(text) as { listeners: { name: string; protocol: string; tls?: string }[] }
  const ports: Record<string, number> = { imap: 143, imaps: 993, pop3: 110, pop3s: 995, sieve: 4190 }
  assert.deepEqual(SOCKETS.map((name) => name.slice('mailmux-'.length, -'.socket'.length)).sort(), Object.keys(ports))
  for (const [name, port] of Object.entries(ports)) {
    assert.ok(listeners.some((listener) => listener.name === name))
    const unit = readFileSync(join(UNITS, `mailmux-${name}.socket`), 'utf8')
    const lines = (key: string): string[] =>
      [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value)
    assert.deepEqual(lines('ListenStream'), [`0.0.0.0:${port}`, `[::]:${port}`])
    assert.deepEqual(lines('FileDescriptorName'), [name])
    assert.deepEqual(lines('Service'), ['mailmux.service'])
  }
})

/** The system calls that the unit allows: the groups of its first list without those of the second. */
async function allowedCalls(): Promise<Set<string>> {
  const expand = async (groups: string[]): Promise<string[]> => {
    const { stdout } = await run('systemd-analyze', ['syscall-filter', '--no-pager', ...groups])
    const words = stdout.split('\n').flatMap((line) => /^ {4}(@?\w[\w-]*)$/.exec(line)?.[1] ?? [])
    const inner = words.filter((word) => word.startsWith('@'))
    return [...words.filter((word) => !word.startsWith('@')), ...(inner.length > 0 ? await expand(inner) : [])]
  }
  const lists = [...SERVICE.matchAll(/^SystemCallFilter=(~?)(.*)$/gm)]
  assert.deepEqual(
    lists.map(([, sign]) => sign),
    ['', '~'],
  )
  const [allowed = [], denied = []] = await Promise.all(lists.map(([, , words = '']) => expand(words.split(' '))))
  // systemd adds those without which no program starts and no program can be run.
  const always = await expand(['@default'])
  return new Set([...allowed.filter((call) => !denied.includes(call)), ...always])
}

test('mailmux makes no system call that the service forbids', async () => {
  const ports = await freeMailmuxPorts()
  const authority = await makeAuthority(scene.directory)
  mkdirSync(join(scene.directory, 'log'))
  const { configFile } = await writeConfiguration(scene, ports, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: 'localhost', imap: await freePort(), pop3: await freePort() } },
    users: { 'a@example.test': 'store1' },
    limits: { failure_delay: '0s', shutdown_grace: '1s' },
    directory: { redis: { url: `redis://localhost:${await freePort()}`, snapshot_file: 'routes' } },
    settings: { workers: 2, log: { level: 'debug', file: 'log/mailmux.log' } },
  })
  const counts = join(scene.directory, 'calls')
  const program = startProgram(scene, {
    name: 'mailmux under strace',
    command: 'strace',
    args: ['-f', '-qq', '-c', '-U', 'name', '-o', counts, MAILMUX_RUNTIME, MAIN, 'run', '-c', configFile],
    env: { ...process.env, NOTIFY_SOCKET: join(scene.directory, 'none'), WATCHDOG_USEC: '3000000' },
  })
  const logFile = join(scene.directory, 'log/mailmux.log')
  const waitForLog = (text: string, count = 1): Promise<true> =>
    until(
      3 * START_DEADLINE_MS, // each system call stops the program twice
      () => (existsSync(logFile) && readFileSync(logFile, 'utf8').split(text).length > count) || undefined,
      () => `no ${text} in the log:\n${readFileSync(logFile, 'utf8').slice(-2000)}${program.stderr()}`,
    )
  await waitForLog('"msg":"ready"')
  const pid = Number(listProcesses(program.pid)[1])
  const peer = await connectPeer(scene, { port: ports.imapClear })
  peer.sendRaw('a LOGIN a secret\r\n')
  await waitForLog('"msg":"login refused"')
  process.kill(pid, 'SIGHUP')
  await waitForLog('"configuration taken over"')
  process.kill(pid, 'SIGUSR1')
  await waitForLog('"log file reopened"', 3)
  await waitForLog('"service manager cannot be notified"')
  process.kill(pid, 'SIGTERM')
  assert.equal((await program.exited).code, 0)
  const calls = readFileSync(counts, 'utf8')
    .split('\n')
    .flatMap((line) => /^(\w+)$/.exec(line.trim())?.[1] ?? [])
  const used = calls.filter((call) => call !== 'syscall' && call !== 'total')
  assert.ok(
    used.some((call) => /^epoll_p?wait2?$/.test(call)), // epoll_pwait2 on Bun
    used.join(' '),
  )
  const allowed = await allowedCalls()
  assert.ok(allowed.has('epoll_wait') && !allowed.has('mount') && !allowed.has('setuid'))
  assert.deepEqual(
    used.filter((call) => !allowed.has(call)),
    [],
  )
})
