/**
 * The alerts of contrib/prometheus about processes and instances, on two instances with one Redis: workers are killed, an instance hangs,
 * upgrades fail or do not end, descriptors run out, and the log is not read. The other alerts: alerts-live.test.ts.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startFaultyBackend } from '../support/faulty-backend.ts'
import { watchGenerations } from '../support/generations.ts'
import { shortRules, watchAlerts } from '../support/live-alerts.ts'
import { openMailClient, type MailClient } from '../support/mail-client.ts'
import { startNamedMailmux, type Mailmux } from '../support/mailmux.ts'
import { signalAll } from '../support/process-tree.ts'
import { startPrometheus } from '../support/prometheus.ts'
import { startRedis } from '../support/redis.ts'
import { lacks } from '../support/runtime.ts'
import { openScene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'
import { watchWorkers } from '../support/workers.ts'

if (lacks('passingPorts')) process.exit(0)

const NO_TLS = { ca: '', servername: 'mail.example.test' }

/** A name that makes long lines: 16 MiB of them have to wait before one is dropped. */
const LONG_NAME = `${'x'.repeat(200)}@nobody.test`
/** The most that `limits.max_wrong_passwords` takes. */
const GUESSES = 100
const GUESSERS = 10

/** With a limit of so many open files the process keeps what it has and gets no more. */
function lowestFree(pid: number): number {
  const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number))
  let free = 0
  while (used.has(free)) free++
  return free
}

test('each cause in a process or an instance makes its alert fire, and the alert ends with it', async (t) => {
  const scene = openScene()
  t.after(() => scene.close())
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('mailmux', { days: 30 })
  const redis = await startRedis(scene)
  const store = await startFaultyBackend(scene, 'imap', { fault: 'none' })
  const health = { check: 'tcp', interval: '1s', fall: 1 }
  const start = async (name: string, workers: number): Promise<Mailmux> => {
    return startNamedMailmux(scene, name, {
      certificate,
      backends: { store1: { host: '127.0.0.1', imap: store.port, tls: 'none', health } },
      domains: { 'one.test': 'store1' },
      directory: { redis: { url: redis.url, timeout: '1s' } },
      adminToken: 'open',
      limits: { failure_delay: '0s', max_wrong_passwords: GUESSES, shutdown_grace: '10m', end_timeout: '10m' },
      settings: { workers },
    })
  }
  const [first, second] = await Promise.all([start('first', 2), start('second', 1)])
  const workers = watchWorkers(first, 2)
  const generations = watchGenerations(scene, second)
  await until(
    START_DEADLINE_MS,
    async () => ((await first.metric('mailmux_instances')) === 2 ? true : undefined),
    () => 'the instances do not see each other',
  )
  // A scrape waits for a second for a worker that starts.
  const ports = [first.ports.admin, second.ports.admin]
  const prometheus = await startPrometheus(scene, ports, await shortRules(scene), '2s')

  const open = (): Promise<MailClient> => openMailClient(scene, 'imap', second.ports.imapClear, 'clear', NO_TLS)
  async function usual(): Promise<void> {
    const client = await open()
    await client.login('alice@one.test', 'secret').catch(() => undefined)
    client.peer.destroy()
  }
  const { breaks, rest, checkAll } = watchAlerts(t, prometheus, usual)
  await until(
    START_DEADLINE_MS,
    async () => ((await prometheus.count('mailmux_instances == 2')) === 2 ? true : undefined),
    () => 'Prometheus does not see both',
  )
  await rest()

  await breaks(
    ['MailmuxInstanceGone', 'MailmuxInstanceMissing'],
    () => process.kill(second.pid, 'SIGSTOP'),
    () => process.kill(second.pid, 'SIGCONT'),
  )

  const killed = new Set<number>()
  /** Kills each worker that has come to serve. */
  const killWorkers = (): Promise<void> => {
    for (const pid of [workers.pid(1), workers.pid(2)]) {
      if (killed.has(pid)) continue
      killed.add(pid)
      signalAll([String(pid)], 'SIGKILL')
    }
    return Promise.resolve()
  }
  await breaks(['MailmuxWorkersMissing', 'MailmuxWorkersRestart'], killWorkers, workers.allServe, killWorkers)

  const before = /^Max open files +(\d+)/m.exec(readFileSync(`/proc/${second.pid}/limits`, 'latin1'))?.[1] ?? ''
  const limitTo = (count: number | string): void => {
    execFileSync('prlimit', ['--pid', String(second.pid), `--nofile=${count}:`])
  }
  await breaks(
    ['MailmuxDescriptorsNearLimit', 'MailmuxLocalShortage'],
    () => limitTo(lowestFree(second.pid)),
    () => limitTo(before),
    async () => {
      const client = await connectPeer(scene, { port: second.ports.imapClear })
      await client.readToEnd()
    },
  )

  let readAgain: () => void = () => undefined
  const guess = async (): Promise<void> => {
    const client = await connectPeer(scene, { port: second.ports.imapClear })
    client.sendRaw(Array.from({ length: GUESSES }, (_, tag) => `a${tag} LOGIN ${LONG_NAME} wrong\r\n`).join(''))
    await client.readToEnd()
  }
  await breaks(
    ['MailmuxLogLinesDropped'],
    () => void (readAgain = second.program.holdOutput()),
    () => readAgain(),
    () => Promise.all(Array.from({ length: GUESSERS }, guess)),
  )
  await second.waitForLog(({ msg }) => msg === 'log lines dropped', 'the line about the lines that are missing')

  await breaks(
    ['MailmuxUpgradeFailed'],
    async () => {
      const { code } = await generations.upgrade('--program', '/bin/true')
      assert.equal(code, 1)
    },
    () => undefined,
  )

  let busy: MailClient | undefined
  await breaks(
    ['MailmuxOldGenerationStays'],
    async () => {
      store.become('hang after login')
      busy = await open()
      assert.ok((await busy.login('alice@one.test', 'secret')).accepted)
      busy.peer.send('b NOOP')
      store.become('none')
      const { code, stderr } = await generations.upgrade()
      assert.deepEqual([code, stderr], [0, ''])
    },
    () => busy?.peer.destroy(),
  )
  await generations.ended(1)
  await rest()
  checkAll('alerts-live-instances.test.ts')
  await generations.stop()
})
