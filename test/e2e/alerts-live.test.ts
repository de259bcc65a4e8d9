/**
 * The alerts of contrib/prometheus on a site that is really broken: a Prometheus scrapes a mailmux with clients each second, each alert fires
 * while its cause lasts, and ends after it. The alerts of processes and instances: alerts-live-instances.test.ts.
 */
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startFaultyBackend } from '../support/faulty-backend.ts'
import { shortRules, watchAlerts } from '../support/live-alerts.ts'
import { openMailClient, type MailClient } from '../support/mail-client.ts'
import { startMailmux, type Mailmux } from '../support/mailmux.ts'
import { startPrometheus } from '../support/prometheus.ts'
import { startRedis } from '../support/redis.ts'
import { openScene } from '../support/scene.ts'

const NO_TLS = { ca: '', servername: 'mail.example.test' }

test('each cause makes its alert fire, and the alert ends with it', async (t) => {
  const scene = openScene()
  t.after(() => scene.close())
  const authority = await makeAuthority(scene.directory)
  const redis = await startRedis(scene, { durable: true })
  const known = join(scene.directory, 'known')
  /** the place of the file that is written aside, where a directory is in the way */
  const aside = join(known, 'routes.tmp')
  await mkdir(known, { mode: 0o700 })
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
    directory: { redis: { url: redis.url, timeout: '1s', snapshot_file: 'known/routes' } },
    limits: { failure_delay: '0s', max_connections: 40 },
  })
  const prometheus = await startPrometheus(scene, [mailmux.ports.admin], await shortRules(scene))

  async function open(): Promise<MailClient> {
    return openMailClient(scene, 'imap', mailmux.ports.imapClear, 'clear', NO_TLS)
  }
  async function logIn(user: string): Promise<void> {
    const client = await open()
    await client.login(user, 'secret').catch(() => undefined)
    client.peer.destroy()
  }
  const usual = () => logIn('alice@one.test')
  const { breaks, fire, end, rest, checkAll } = watchAlerts(t, prometheus, usual)

  // A share is 0 from the start, and not absent: a panel and an alert of it tell 0.
  await until(
    START_DEADLINE_MS,
    async () =>
      (await prometheus.count('sum(mailmux_logins_total{outcome=~"unavailable|misconfigured"})')) === 1 || undefined,
    () => 'the share of failed logins is absent',
  )
  await rest()
  await usual()

  // The age of the snapshot grows for 45 s, and mailmux looks at it each 30 s: other causes are shown meanwhile.
  await redis.command('HSET', 'mailmux:user:dora@one.test', 'backend', 'store1')
  await mkdir(aside)
  await logIn('dora@one.test')

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
    ['MailmuxDirectoryDataLost'],
    () => redis.command('FLUSHALL'),
    () => redis.command('HDEL', 'mailmux:marker', 'lost'),
  )
  await breaks(
    ['MailmuxLoginsSlow'],
    () => good.become('slow login'),
    () => good.become('none'),
    usual,
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
  const whole = parse(routing) as { backends: Record<string, unknown>; domains: Record<string, string> }
  const { store1 } = whole.backends
  await breaks(
    ['MailmuxRoutingFileHeldBack'],
    () => writeFile(mailmux.routingFile, stringify({ backends: { store1 }, domains: { 'one.test': 'store1' } })),
    () => writeFile(mailmux.routingFile, routing),
  )
  await t.test('MailmuxSnapshotOld', async () => {
    try {
      await fire(['MailmuxSnapshotOld'])
    } finally {
      await rm(aside, { recursive: true })
    }
  })
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
  await t.test('MailmuxSnapshotOld ends', () => end(['MailmuxSnapshotOld']))
  await rest()
  checkAll('alerts-live.test.ts')
})
