/** What the steady load runs against: mailmux with a real Redis, a real Dovecot, and the bench's sink for what would be too much for a Dovecot. */
import { readdir, readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { startChild } from '../bench/child.ts'
import { PASSWORD } from '../bench/message.ts'
import { isReady } from '../bench/peers/mailmux.ts'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startDovecot } from '../support/dovecot.ts'
import { type MailmuxPorts, toBackend, writeConfiguration } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { type Program, startProgram } from '../support/processes.ts'
import { startRedis } from '../support/redis.ts'
import type { Scene } from '../support/scene.ts'
import { type Doors, SINK_USERS, sinkUser, STORE_USERS, storeUser } from './steady-visits.ts'

/** `external`: outside of the heap, and held by what is in it */
export type Living = { heapUsed: number; external: number }

export type SteadySite = {
  doors: Doors
  /** Sends so many users of the sink to one of its two names, by what Redis says. Random ones. */
  moveUsers: (count: number, random: () => number) => void
  metrics: () => Promise<string>
  /** what lives after a collection of all garbage, in bytes */
  collect: () => Promise<Living>
  handles: () => Promise<number>
  residentBytes: () => Promise<number>
  /** ms that the event loop's thread was ready to run so far, and had no processor */
  waitedMs: () => Promise<number>
}

export async function startSteadySite(scene: Scene): Promise<SteadySite> {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('mailmux')
  const sink = await startChild<never, { imap: number; pop3: number }>(scene, 'sink.ts')
  const users = Object.fromEntries(Array.from({ length: STORE_USERS }, (_, number) => [storeUser(number), PASSWORD]))
  const dovecot = await startDovecot(scene, { name: 'store', users })
  const redis = await startRedis(scene)
  const writer = connect({ host: '127.0.0.1', port: redis.port })
  scene.closeLater(() => void writer.destroy())
  await once(writer, 'connect')
  writer.resume() // the answers
  const numbers = Array.from({ length: SINK_USERS }, (_, number) => number)
  setRoutes(
    writer,
    numbers.map((number) => [sinkUser(number), `sink${(number % 2) + 1}`]),
  )
  setRoutes(
    writer,
    Object.keys(users).map((user) => [user, 'store']),
  )

  const ports = await freePorts()
  const atSink = { host: '127.0.0.1', imap: sink.ready.imap, pop3: sink.ready.pop3, tls: 'none' }
  const { configFile } = await writeConfiguration(scene, ports, {
    certificate,
    backends: { sink1: atSink, sink2: atSink, store: toBackend(dovecot) },
    // Redis has long to answer: a busy machine makes delays worse, not logins fail
    directory: { redis: { url: redis.url, timeout: '10s' } },
    settings: { log: { level: 'info', format: 'json' } },
  })
  const mailmux = await startMeasured(scene, configFile, ports.admin)
  const metrics = async () => (await fetch(`http://127.0.0.1:${ports.admin}/metrics`)).text()
  await until(
    START_DEADLINE_MS,
    async () => (await metrics()).includes('mailmux_directory_up 1\n') || undefined,
    () => 'mailmux does not connect to Redis',
  )
  let collections = 0
  return {
    doors: { ...ports, tls: createSecureContext({ ca: authority.ca }) },
    moveUsers: (count, random) => {
      const moves = Array.from({ length: count }, () => Math.floor(random() * SINK_USERS))
      setRoutes(
        writer,
        moves.map((number) => [sinkUser(number), random() < 0.5 ? 'sink1' : 'sink2']),
      )
    },
    metrics,
    collect: async () => {
      const mark = `{"collection":${++collections},`
      mailmux.signal('SIGUSR2')
      const line = await mailmux.waitForLine((text) => text.startsWith(mark), READ_DEADLINE_MS, 'a collection')
      return JSON.parse(line) as Living
    },
    handles: async () => (await readdir(`/proc/${mailmux.pid}/fd`)).length,
    residentBytes: async () => {
      const status = await readFile(`/proc/${mailmux.pid}/status`, 'utf8')
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024
    },
    // the second field, ns: Documentation/scheduler/sched-stats.rst
    waitedMs: async () => Number((await readFile(`/proc/${mailmux.pid}/schedstat`, 'utf8')).split(' ')[1]) / 1e6,
  }
}

/** As the command starts, but that it collects garbage when told to. Half a million log lines go nowhere; stderr is read. */
async function startMeasured(scene: Scene, configFile: string, adminPort: number): Promise<Program> {
  const probe = join(import.meta.dirname, 'steady-collect.ts')
  const command = [...NODE_OF_COMMAND, '--expose-gc', '--import', probe, MAIN, 'run', '-c', configFile]
  // the shell becomes mailmux: the pid stays the same
  const args = ['-c', 'exec "$0" "$@" >/dev/null', ...command]
  const program = startProgram(scene, { name: 'mailmux', command: 'sh', args })
  await until(
    START_DEADLINE_MS,
    async () => (await isReady(adminPort)) || undefined,
    () => `mailmux is not ready: ${program.stderr()}`,
  )
  return program
}

async function freePorts(): Promise<MailmuxPorts> {
  const names = ['imap', 'imaps', 'imapClear', 'pop3', 'pop3s', 'pop3Clear', 'admin'] as const
  const ports: Partial<MailmuxPorts> = {}
  for (const name of names) ports[name] = await freePort()
  return ports as MailmuxPorts
}

/** Inline commands, which Redis takes from whoever types them. */
function setRoutes(writer: Socket, routes: [user: string, backend: string][]): void {
  writer.write(routes.map(([user, backend]) => `HSET mailmux:user:${user} backend ${backend}\r\n`).join(''))
}
