/**
 * The alerts of contrib/prometheus on a site that is really broken: a Prometheus scrapes a mailmux with clients each second, each alert fires
 * while its cause lasts, and ends after it. Periods are shortened to seconds in a copy; the expressions are those of the file.
 */
import assert from 'node:assert/strict'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startFaultyBackend } from '../support/faulty-backend.ts'
import { openMailClient, type MailClient } from '../support/mail-client.ts'
import { startMailmux, type Mailmux } from '../support/mailmux.ts'
import { startPrometheus } from '../support/prometheus.ts'
import { startRedis } from '../support/redis.ts'
import { openScene, type Scene } from '../support/scene.ts'

const FILE = join(import.meta.dirname, '../../contrib/prometheus/alerts.yaml')
const NO_TLS = { ca: '', servername: 'mail.example.test' }

/** Periods of the file, as this test has them. Two scrapes are within the shortest. */
const PERIODS: Readonly<Record<string, string>> = {
  '[5m:1m]': '[4s:1s]',
  '[5m]': '[6s]',
  '[15m]': '[8s]',
  '[30m]': '[8s]',
  '[1h]': '[10s]',
  '[6h]': '[12s]',
}

async function shortRules(scene: Scene): Promise<string> {
  const { groups } = parse(await readFile(FILE, 'utf8')) as {
    groups: { name: string; rules: { expr: string; for?: string }[] }[]
  }
  for (const { rules } of groups)
    for (const rule of rules) {
      rule.expr = rule.expr.replace(/\[[\dmhs:]+\]/g, (period) => {
        const short = PERIODS[period]
        assert.ok(short !== undefined, `no short form of ${period}`)
        return short
      })
      if (rule.for !== undefined) rule.for = '1s'
    }
  const file = join(scene.directory, 'alerts.yaml')
  await writeFile(file, stringify({ groups: groups.map((group) => ({ ...group, interval: '1s' })) }))
  return file
}

test('each cause makes its alert fire, and the alert ends with it', async (t) => {
  const scene = openScene()
  t.after(() => scene.close())
  const authority = await makeAuthority(scene.directory)
  const redis = await startRedis(scene, { durable: true })
  const good = await startFaultyBackend(scene, 'imap', { fault: 'none' })
  const weak = await startFaultyBackend(scene, 'imap', { fault: 'none' })
  const health = { check: 'greeting', interval: '1s', timeout: '1s', fall: 1, rise: 1 }
  const mailmux: Mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux', { days: 30 }),
    backends: {
      store1: { host: '127.0.0.1', imap: good.port, tls: 'none', health },
      store2: { host: '127.0.0.1', imap: weak.port, tls: 'none', health, limits: { logins: 1 } },
    },
    domains: { 'one.test': 'store1', 'two.test': 'store2' },
    directory: { redis: { url: redis.url, timeout: '1s' } },
    limits: { failure_delay: '0s', max_connections: 40 },
  })
  const prometheus = await startPrometheus(scene, [mailmux.ports.admin], await shortRules(scene))
  const rest = async (): Promise<true | undefined> => ((await prometheus.firing()).length === 0 ? true : undefined)

  async function open(): Promise<MailClient> {
    return openMailClient(scene, 'imap', mailmux.ports.imapClear, 'clear', NO_TLS)
  }
  async function logIn(user: string): Promise<void> {
    const client = await open()
    await client.login(user, 'secret').catch(() => undefined)
    client.peer.destroy()
  }
  /** Repeats `work` until all of the alerts fire, or none of them, so that rates have something to tell. */
  async function become(alerts: readonly string[], fires: boolean, work: () => Promise<unknown>): Promise<void> {
    await until(
      START_DEADLINE_MS,
      async () => {
        await work()
        const firing = await prometheus.firing()
        return alerts.every((alert) => firing.includes(alert) === fires) || undefined
      },
      () => `${alerts.join(', ')}: not all ${fires ? 'fire' : 'end'}`,
    )
  }
  const idle = () => Promise.resolve()
  const usual = () => logIn('alice@one.test')
  async function breaks(
    alerts: readonly string[],
    breakIt: () => unknown,
    repair: () => unknown,
    work: () => Promise<unknown> = idle,
  ): Promise<void> {
    await t.test(alerts.join(', '), async () => {
      try {
        await breakIt()
        await become(alerts, true, work)
      } finally {
        await repair()
      }
      await become(alerts, false, usual)
    })
  }

  // A share is 0 from the start, and not absent: a panel and an alert of it tell 0.
  await until(
    START_DEADLINE_MS,
    async () =>
      (await prometheus.count('sum(mailmux_logins_total{outcome=~"unavailable|misconfigured"})')) === 1 || undefined,
    () => 'the share of failed logins is absent',
  )
  await until(START_DEADLINE_MS, rest, () => 'an alert fires on a site that is well')
  await usual()

  await breaks(
    ['MailmuxInstanceGone'],
    () => process.kill(mailmux.pid, 'SIGSTOP'),
    () => process.kill(mailmux.pid, 'SIGCONT'),
  )
  await breaks(
    ['MailmuxBackendDown', 'MailmuxBackendAddressDown', 'MailmuxLoginsFail'],
    () => good.become('reset'),
    () => good.become('none'),
    usual,
  )
  await breaks(
    ['MailmuxDirectoryAway', 'MailmuxLimitsNotShared'],
    () => redis.pause(),
    () => redis.resume(),
  )
  await breaks(
    ['MailmuxRoutesInvalid'],
    () => redis.command('HSET', 'mailmux:user:bob@one.test', 'backend', 'nowhere'),
    () => redis.command('DEL', 'mailmux:user:bob@one.test'),
    () => logIn('bob@one.test'),
  )
  const routing = await readFile(mailmux.routingFile, 'utf8')
  await breaks(
    ['MailmuxConfigurationNotInForce'],
    async () => {
      await writeFile(mailmux.routingFile, `${routing}\nnonsense: [\n`)
      process.kill(mailmux.pid, 'SIGHUP')
    },
    async () => {
      await writeFile(mailmux.routingFile, routing)
      process.kill(mailmux.pid, 'SIGHUP')
    },
  )
  const old = await authority.issue('old', { days: 13 })
  const fresh = await authority.issue('fresh', { days: 30 })
  const certFile = join(scene.directory, 'mailmux.pem')
  const keyFile = join(scene.directory, 'mailmux-key.pem')
  const replace = async (leaf: typeof old): Promise<void> => {
    await copyFile(leaf.keyFile, keyFile)
    await copyFile(leaf.certFile, certFile)
    process.kill(mailmux.pid, 'SIGHUP')
  }
  await breaks(
    ['MailmuxCertificateExpires'],
    () => replace(old),
    () => replace(fresh),
  )

  const many: MailClient[] = []
  const closeAll = (): void => {
    for (const { peer } of many.splice(0)) peer.destroy()
  }
  await breaks(
    ['MailmuxConnectionsNearLimit'],
    async () => {
      for (let count = 0; count < 38; count++) many.push(await open())
    },
    closeAll,
  )
  await breaks(
    ['MailmuxLoginsWait'],
    async () => {
      weak.become('hang in login')
      for (let count = 0; count < 3; count++) {
        const client = await open()
        client.peer.send(`w LOGIN carol${count}@two.test secret`)
        many.push(client)
      }
    },
    () => {
      weak.become('none')
      closeAll()
    },
  )
})
