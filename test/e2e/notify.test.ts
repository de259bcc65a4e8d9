/** The messages to a service manager, sent by the real systemd-notify to a socket that stands for systemd's. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { startMailmux, type Mailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { listProcesses, signalAll, waitUntilEnded } from '../support/process-tree.ts'
import { startProgram, type Program } from '../support/processes.ts'
import { openScene, type Scene } from '../support/scene.ts'

/** Prints each datagram on a line, its assignments parted by spaces. Reading without ancillary data closes the descriptor of a barrier. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
s.bind('\\0' + name[1:] if name[0] == '@' else name)
print('bound', flush=True)
while True:
    text = s.recv(65536).decode()
    if text != 'BARRIER=1': print(text.replace('\\n', ' ').strip(), flush=True)
`

let scene: Scene
beforeEach(() => (scene = openScene()))
afterEach(() => scene.close())

async function listen(socket: string): Promise<Program> {
  const receiver = startProgram(scene, { name: 'receiver', command: 'python3', args: ['-c', RECEIVER, socket] })
  await receiver.waitForLine((line) => line === 'bound', START_DEADLINE_MS, 'its socket')
  return receiver
}

async function start(workers: number, env: NodeJS.ProcessEnv): Promise<Mailmux> {
  const authority = await makeAuthority(scene.directory)
  return startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: {
      store1: { host: '127.0.0.1', imap: await freePort(), pop3: await freePort(), health: { check: 'none' } },
    },
    users: { 'a@example.test': 'store1' },
    limits: { shutdown_grace: '2s' },
    settings: { workers },
    env: { ...process.env, ...env },
  })
}

const messages = (receiver: Program): string[] => receiver.stdout().split('\n').slice(1, -1)

for (const [kind, workers] of [
  ['path', 1],
  ['abstract name', 1],
  ['path', 2],
] as const)
  test(`reports start, reload and stop (a socket with a ${kind}, workers: ${workers})`, async () => {
    const socket = kind === 'path' ? join(scene.directory, 'notify') : `@mailmux-test-${process.pid}`
    const receiver = await listen(socket)
    const mailmux = await start(workers, { NOTIFY_SOCKET: socket })
    await receiver.waitForLine((line) => line === 'READY=1 STATUS=serving', START_DEADLINE_MS, 'ready')
    mailmux.program.signal('SIGHUP')
    await receiver.waitForLine((line) => line.startsWith('RELOADING=1 MONOTONIC_USEC='), START_DEADLINE_MS, 'reload')
    await mailmux.waitForLog(({ msg }) => msg === 'configuration taken over', 'the reload')
    writeFileSync(mailmux.routingFile, 'nonsense: true\n')
    mailmux.program.signal('SIGHUP')
    await receiver.waitForLine((line) => line.includes('refused'), START_DEADLINE_MS, 'the refused reload')
    const processes = listProcesses(mailmux.pid)
    await mailmux.stop()
    await waitUntilEnded(processes)
    const states = messages(receiver).map((line) => line.replace(/MONOTONIC_USEC=\d+/, 'MONOTONIC_USEC='))
    assert.deepEqual(states, [
      'READY=1 STATUS=serving',
      'RELOADING=1 MONOTONIC_USEC=',
      'READY=1 STATUS=serving',
      'RELOADING=1 MONOTONIC_USEC=',
      'READY=1 STATUS=serving; the last reload was refused, see the log',
      'STOPPING=1 STATUS=shutting down: ends 0 sessions EXTEND_TIMEOUT_USEC=17000000',
    ])
    assert.ok(!mailmux.log().some(({ msg }) => msg === 'service manager cannot be notified'))
  })

test('the watchdog gets signs of life, unless all workers hang', async () => {
  const socket = join(scene.directory, 'notify')
  const receiver = await listen(socket)
  const mailmux = await start(2, { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '1500000' })
  const isSign = (line: string): boolean => line === 'WATCHDOG=1'
  await receiver.waitForLine(isSign, START_DEADLINE_MS, 'a sign of life')
  const pids = mailmux.log().flatMap(({ msg, pid }) => (msg === 'worker serves' ? [String(pid)] : []))
  assert.equal(pids.length, 2)
  signalAll(pids, 'SIGSTOP')
  scene.closeLater(() => signalAll(pids, 'SIGCONT'))
  for (const pid of pids) {
    const isSilent = (line: { msg: string; pid?: unknown }): boolean =>
      line.msg === 'worker does not answer' && String(line.pid) === pid
    await mailmux.waitForLog(isSilent, `the silence of ${pid}`)
  }
  // Signs are sent by a timer of 500 ms: a reload, which takes longer, would be followed by some.
  const before = messages(receiver).length
  mailmux.program.signal('SIGHUP')
  await mailmux.waitForLog(({ msg }) => msg === 'configuration taken over', 'the reload')
  await receiver.waitForLine((line) => line.startsWith('RELOADING'), START_DEADLINE_MS, 'the reload')
  const later = messages(receiver).slice(before)
  assert.ok(later.filter(isSign).length <= 1, later.join('\n'))
  signalAll(pids, 'SIGCONT')
  await mailmux.waitForLog(({ msg }) => msg === 'worker answers again', 'the workers')
  const signs = messages(receiver).filter(isSign).length
  await receiver.waitForLine(() => messages(receiver).filter(isSign).length > signs, START_DEADLINE_MS, 'another sign')
})

test('a service manager that is away is logged once, and changes nothing else', async () => {
  const mailmux = await start(1, { NOTIFY_SOCKET: join(scene.directory, 'nothing-here') })
  const failure = await mailmux.waitForLog(({ msg }) => msg === 'service manager cannot be notified', 'the failure')
  assert.match(String(failure.cause), /No such file or directory/)
  mailmux.program.signal('SIGHUP')
  await mailmux.waitForLog(({ msg }) => msg === 'configuration taken over', 'the reload')
  await mailmux.stop()
  assert.equal(mailmux.log().filter(({ msg }) => msg === 'service manager cannot be notified').length, 1)
})
