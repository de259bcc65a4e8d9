/** How workers begin, and what becomes of them without the process that keeps them running. No store is needed for that. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { type Authority, makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import {
  freeMailmuxPorts,
  launchMailmux,
  type Mailmux,
  type MailmuxPorts,
  startMailmux,
  writeConfiguration,
  type YamlMap,
} from '../support/mailmux.ts'
import { freePort, isFree } from '../support/ports.ts'
import { waitUntilEnded, listProcesses } from '../support/process-tree.ts'
import { ON_BUN } from '../support/runtime.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'

let scene: Scene
let authority: Authority
beforeEach(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
})
afterEach(() => scene.close())

async function start(workers: number, settings: YamlMap = {}): Promise<Mailmux> {
  return startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
    settings: { workers, ...settings },
  })
}

const allFree = async (ports: MailmuxPorts): Promise<boolean> => {
  for (const port of Object.values(ports)) if (!(await isFree(port))) return false
  return true
}

test('one worker is one process', async () => {
  const mailmux = await start(1)
  assert.deepEqual(listProcesses(mailmux.pid), [String(mailmux.pid)])
  assert.equal(await mailmux.metric('mailmux_workers{state="up"}'), 1)
  assert.equal(await mailmux.metric('mailmux_worker_restarts_total'), 0)
  assert.ok(mailmux.log().every((line) => !('worker' in line)))
  const ready = mailmux.log().find(({ msg }) => msg === 'ready')
  assert.match(String(ready?.runtime), ON_BUN ? /^bun \d+\./ : /^node \d+\./)
  await mailmux.stop()
})

test('a port that is in use ends it in one line, as it does with one worker, and leaves no process', async () => {
  const ports: MailmuxPorts = await freeMailmuxPorts()
  const holder = createServer().listen(ports.pop3s, '127.0.0.1')
  await once(holder, 'listening')
  scene.closeLater(() => void holder.close()) // where the test fails, this process could not end
  const { configFile } = await writeConfiguration(scene, ports, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: 1 } },
    settings: { workers: 2 },
  })
  const program = launchMailmux(scene, configFile)
  const { code } = await program.exited
  assert.equal(code, 1)
  const lines = program.stderr().trimEnd().split('\n')
  assert.equal(lines.length, 1, program.stderr())
  assert.match(
    lines[0]!,
    new RegExp(`listener pop3-implicit: .*127\\.0\\.0\\.1:${ports.pop3s}: the port is in use by .*`),
  )
  assert.match(lines[0]!, new RegExp(`\\b${process.pid}\\b`))
  holder.close()
  await once(holder, 'close')
  assert.ok(await allFree(ports))
})

test('workers whose supervisor has been killed say goodbye after the grace, end, and leave the ports free', async () => {
  const mailmux = await start(2, { limits: { shutdown_grace: '2s' } })
  const peers = await Promise.all(
    Array.from({ length: 12 }, () => connectPeer(scene, { port: mailmux.ports.imapClear })),
  )
  for (const peer of peers) await peer.expect(/^\* OK /)
  const [, ...workers] = listProcesses(mailmux.pid)
  assert.equal(workers.length, 2)
  mailmux.program.signal('SIGKILL')
  for (const peer of peers) {
    await peer.expect(/^\* BYE /)
    await peer.expectClose()
  }
  await until(
    START_DEADLINE_MS,
    async () => (await allFree(mailmux.ports)) || undefined,
    () => 'ports are still bound',
  )
  await mailmux.program.exited // their output has ended too: they have closed it, or are about to end
  await waitUntilEnded(workers)
})

test('a second SIGTERM ends it at once, and its workers with it', async () => {
  const mailmux = await start(2)
  const [, ...workers] = listProcesses(mailmux.pid)
  process.kill(Number(workers[0]), 'SIGSTOP') // which would be waited for
  mailmux.program.signal('SIGTERM')
  await mailmux.waitForLog((line) => line.msg === 'shutting down', 'the first', 15_000)
  mailmux.program.signal('SIGTERM')
  const exit = await mailmux.program.exited
  assert.deepEqual(exit, { code: 1, signal: null })
  await waitUntilEnded(workers)
})

test('signals to the whole group are taken by the supervisor alone', async () => {
  const mailmux = await start(2)
  const [, ...workers] = listProcesses(mailmux.pid)
  for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const)
    for (const pid of workers) process.kill(Number(pid), signal)
  const peer = await connectPeer(scene, { port: mailmux.ports.imapClear })
  await peer.expect(/^\* OK /)
  assert.deepEqual(listProcesses(mailmux.pid).slice(1), workers)
  assert.equal(await mailmux.metric('mailmux_worker_restarts_total'), 0)
  peer.destroy()
  await mailmux.stop()
})
