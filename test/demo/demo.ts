/**
 * `make demo`: three real mail stores and mailmux in front of them, in the foreground, until Ctrl-C.
 * Everything that it makes is in `.demo/` and is used again by the next run, except Dovecot's sockets, and mail that cannot be there.
 * DEMO_PORT_OFFSET is added to every port, for a second demo beside the first. With INSTANCES=2 a second mailmux serves the same users.
 */
import { randomBytes, X509Certificate } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startDovecot } from '../support/dovecot.ts'
import { launchMailmux } from '../support/mailmux.ts'
import { isFree } from '../support/ports.ts'
import { startRedis } from '../support/redis.ts'
import { openScene } from '../support/scene.ts'
import { mayEveryoneEnter, openTemporaryRoot } from '../support/temporary.ts'
import { type Ports, whatToTry } from './what-to-try.ts'

const checkout = join(import.meta.dirname, '../..')
const demo = join(checkout, '.demo')

const offset = Number(process.env['DEMO_PORT_OFFSET'] ?? 0)
const stores = [
  { name: 'store1', imap: 11143, pop3: 11110, sieve: 14190, doveadm: 11224, user: 'alice@example.test' },
  { name: 'store2', imap: 12143, pop3: 12110, sieve: 15190, doveadm: 12224, user: 'bob@example.test' },
  { name: 'store3', imap: 13143, pop3: 13110, sieve: 16190, doveadm: 13224, user: 'carol@example.test' },
].map(({ imap, pop3, sieve, doveadm, ...store }) => ({
  ...store,
  imap: imap + offset,
  pop3: pop3 + offset,
  sieve: sieve + offset,
  doveadm: doveadm + offset,
}))
const password = 'secret'
/** The second instance has the ports of the first, and 1000. */
const instances = Array.from({ length: Number(process.env['INSTANCES'] ?? 1) }, (_, at): Ports => {
  const more = offset + at * 1000
  return {
    IMAP: 1143 + more,
    IMAPS: 1993 + more,
    POP3: 1110 + more,
    POP3S: 1995 + more,
    ManageSieve: 4190 + more,
    admin: 9143 + more,
  }
})
const redisPort = 16379 + offset

const withRedis = process.env['DIRECTORY'] === 'redis'
const say = (text: string) => process.stdout.write(`${text}\n`)

/** A reason to give up, printed in one line. */
class Obstacle extends Error {}

async function main(): Promise<void> {
  if (instances.length < 1 || instances.length > 3 || (instances.length > 1 && !withRedis))
    throw new Obstacle(
      'INSTANCES is 1 to 3, and more than 1 needs DIRECTORY=redis: instances know each other by their Redis',
    )
  process.umask(0o022) // Dovecot's users must read what is made here, whatever the umask of the shell is
  mkdirSync(demo, { recursive: true })
  accessSync(demo, constants.W_OK) // before anything starts: another user may have made it
  await checkPorts()
  const scene = openScene(demo)
  const stopping = Promise.withResolvers<'stopped'>()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.resolve('stopped'))
  process.stdout.on('error', () => stopping.resolve('stopped')) // the reader has gone
  try {
    say(
      `Starting three mail stores${withRedis ? ', a Redis' : ''} and ${instances.length > 1 ? `${instances.length} mailmux` : 'mailmux'} ...`,
    )
    await makeCertificate()
    const mail = mailDirectory()
    scene.closeLater(mail.remove)
    // Each user has a mailbox on each store, so that a changed route shows another mailbox and not an error
    const users = Object.fromEntries(stores.map(({ user }) => [user, password]))
    await Promise.all(
      stores.map(async ({ name, imap, pop3, sieve, doveadm }) => {
        const { configFile } = await startDovecot(scene, {
          ...{ name, users, sieve, imapPort: imap, pop3Port: pop3 },
          mailDirectory: join(mail.path, name),
          extra: doveadmService(doveadm),
        })
        linkConfiguration(name, configFile)
      }),
    )
    writeDsyncConfiguration()
    if (withRedis) {
      const redis = await startRedis(scene, { port: redisPort })
      for (const { name, user } of stores) await redis.command('HSET', `mailmux:user:${user}`, 'backend', name)
    }

    const running = instances.map((ports, at) => {
      const label = instances.length > 1 ? `mailmux ${at + 1}: ` : ''
      return launchMailmux(scene, writeConfiguration(ports, at), (line) => say(label + line))
    })
    const ended = Promise.race(
      running.map(async ({ exited }): Promise<never> => {
        const { code } = await exited
        throw new Obstacle(`mailmux ended by itself (exit code ${code ?? 'none'})`)
      }),
    )
    const ready = Promise.all(
      instances.map(({ admin }) =>
        until(
          START_DEADLINE_MS,
          () => isReady(admin),
          () => 'mailmux does not become ready',
        ),
      ),
    )
    if ((await Promise.race([ready, ended, stopping.promise])) === 'stopped') return
    say(
      whatToTry({
        home: demo,
        checkout,
        password,
        stores,
        instances,
        withRedis,
        mail: mail.path,
        mailmux: writeScript(),
      }),
    )
    await Promise.race([ended, stopping.promise])
    say('Stopping ...')
  } finally {
    await scene.close()
  }
}

async function checkPorts(): Promise<void> {
  const wanted: [number, string][] = [
    ...instances
      .flatMap((ports) => Object.entries(ports))
      .map(([use, port]): [number, string] => [port, `mailmux, ${use}`]),
    ...stores.flatMap(({ name, imap, pop3, sieve, doveadm }): [number, string][] => [
      [imap, `${name}, IMAP`],
      [pop3, `${name}, POP3`],
      [sieve, `${name}, ManageSieve`],
      [doveadm, `${name}, doveadm`],
    ]),
    ...(withRedis ? [[redisPort, 'Redis'] satisfies [number, string]] : []),
  ]
  for (const [port, use] of wanted) {
    if (await isFree(port)) continue
    throw new Obstacle(
      `port ${port} (${use}) is in use on 127.0.0.1, perhaps by another demo: stop that first, or set DEMO_PORT_OFFSET=10000`,
    )
  }
}

/** A CA and a certificate in `.demo/`, made anew when there are none or when they end within a day. */
async function makeCertificate(): Promise<void> {
  const file = join(demo, 'mailmux.pem')
  if (existsSync(file)) {
    const certificate = new X509Certificate(readFileSync(file))
    if (certificate.validToDate.getTime() > Date.now() + 24 * 3600 * 1000) return
  }
  const authority = await makeAuthority(demo)
  await authority.issue('mailmux')
}

/**
 * Where the stores keep their mail. As root, Dovecot reads mail as `nobody`, a user who cannot enter a checkout in root's home, for
 * example: the mail is then kept in the temporary directory, for this run only.
 */
function mailDirectory(): { path: string; remove: () => void } {
  const closed = process.getuid?.() === 0 && !mayEveryoneEnter(demo)
  if (!closed) return { path: join(demo, 'mail'), remove: () => {} }
  const path = mkdtempSync(join(openTemporaryRoot(), 'mailmux-demo-'))
  chmodSync(path, 0o755) // mkdtemp makes it 0700
  say(`Other users may not enter ${demo}: the mail is in ${path} for this run.`)
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** The routing file is the one to play with, and stays as it was left; both instances read the same. The main files are written anew. */
function writeConfiguration(ports: Ports, at: number): string {
  const directory = directoryOf(at)
  mkdirSync(directory, { recursive: true })
  const listener = (name: string, protocol: string, port: number, tls: string) => ({
    ...{ name, protocol, listen: [`127.0.0.1:${port}`], tls },
    default_domain: 'example.test',
  })
  const main = {
    hostname: 'mail.example.test',
    listeners: [
      listener('imap', 'imap', ports.IMAP, 'starttls'),
      listener('imaps', 'imap', ports.IMAPS, 'implicit'),
      listener('pop3', 'pop3', ports.POP3, 'starttls'),
      listener('pop3s', 'pop3', ports.POP3S, 'implicit'),
      listener('sieve', 'managesieve', ports.ManageSieve, 'starttls'),
    ],
    tls: { certificates: [{ cert: join(demo, 'mailmux.pem'), key: join(demo, 'mailmux-key.pem') }] },
    directory: withRedis ? { redis: { url: `redis://127.0.0.1:${redisPort}`, prefix: 'mailmux:' } } : { static: {} },
    routing: join(directoryOf(0), 'routing.yaml'),
    // No socket: the one of the default path may belong to a mailmux of the machine.
    admin: { listen: `127.0.0.1:${ports.admin}`, token_file: makeToken(), socket: 'off' },
    log: { level: 'info', format: 'pretty' },
  }
  const backends = Object.fromEntries(
    stores.map(({ name, imap, pop3, sieve }) => [
      name,
      { host: '127.0.0.1', imap, pop3, managesieve: sieve, tls: 'none' },
    ]),
  )
  const routes = withRedis ? {} : { users: Object.fromEntries(stores.map(({ user, name }) => [user, name])) }

  const configFile = join(directory, 'mailmux.yaml')
  const routingFile = join(directoryOf(0), 'routing.yaml')
  writeFileSync(configFile, `# Written by each \`make demo\`\n${stringify(main)}`)
  if (!existsSync(routingFile)) {
    writeFileSync(
      routingFile,
      `# Yours to change; remove it to get it back as it was\n${stringify({ backends, ...routes })}`,
    )
  }
  return configFile
}

const directoryOf = (at: number): string =>
  join(demo, `${withRedis ? 'redis' : 'static'}${at === 0 ? '' : `-${at + 1}`}`)

/** Runs mailmux as the demo does, so that the commands to try are short. It asks the first instance. */
function writeScript(): string {
  const file = join(demo, 'mailmux')
  const config = join(directoryOf(0), 'mailmux.yaml')
  const program = join(checkout, 'src/main.ts')
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@" -c '${config}'\n`)
  chmodSync(file, 0o755)
  return file
}

/** The configuration of a store for doveadm: the directory of the store has another name in each run. */
function linkConfiguration(name: string, configFile: string): void {
  const link = join(demo, `${name}.conf`)
  rmSync(link, { force: true })
  symlinkSync(configFile, link)
}

/** The service by which another store copies a mailbox to this one. */
function doveadmService(port: number): string {
  return `doveadm_password = ${password}
service doveadm {
  inet_listener {
    address = 127.0.0.1
    port = ${port}
  }
}
`
}

/** How contrib/dsync-move reaches the stores. */
function writeDsyncConfiguration(): void {
  const cases = stores.map(({ name, doveadm }) => `${name}) echo tcp:127.0.0.1:${doveadm} ;;`).join(' ')
  // Debian keeps doveadm in /usr/bin, and all stores are on this machine.
  writeFileSync(
    join(demo, 'dsync-move.conf'),
    `doveadm_on() { store=$1; shift; doveadm -c '${demo}'/$store.conf "$@"; }
dsync_address() { case $1 in ${cases} esac; }
`,
  )
}

/** The token of the API, which `mailmux sessions end` and other orders need. */
function makeToken(): string {
  const file = join(demo, 'admin.token')
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 })
  return file
}

async function isReady(admin: number): Promise<true | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${admin}/readyz`)
    return answer.ok || undefined
  } catch {
    return undefined // not listening yet
  }
}

try {
  await main()
} catch (error) {
  const isForbidden = error instanceof Error && 'code' in error && error.code === 'EACCES'
  if (!(error instanceof Obstacle || isForbidden)) throw error
  process.stderr.write(`demo: ${error.message}\n`)
  process.exitCode = 1
}
