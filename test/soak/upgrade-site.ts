/** The mailmux of the upgrade soak: its generations, the socket holder that stands for systemd, and the orders to its admin API. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { bindPorts, type BoundPorts } from '../../src/listener/bound-ports.ts'
import { upgradeAnswer } from '../../src/admin/upgrade-routes.ts'
import { startChild } from '../bench/child.ts'
import { isReady } from '../bench/peers/mailmux.ts'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type MailmuxPorts, writeConfiguration } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { isRunning, listProcesses, signalAll, waitUntilEnded } from '../support/process-tree.ts'
import type { Scene } from '../support/scene.ts'
import type { LoadPort } from './upgrade-clients.ts'
import type { StoreAnswer, StoreAsk } from './upgrade-wire.ts'

const TOKEN = 'open'

export type UpgradeSite = {
  configFile: string
  ports: readonly LoadPort[]
  hasReached: (mark: string) => Promise<boolean>
  /** of the newest generation */
  pid: () => number
  /** the processes of its workers */
  workers: () => number[]
  upgrade: () => Promise<void>
  /** Reads the files. @returns whether they are in force */
  reload: () => Promise<boolean>
  metric: (series: string) => Promise<number | undefined>
  /** Starts it again with the sockets of the holder, after a kill. Settles when it is ready. */
  startAgain: () => Promise<void>
  /** the last of what all generations have logged */
  log: () => string
  stop: () => Promise<void>
}

export type UpgradeSiteOptions = { workers: number; spreadMs: number; graceMs: number }

/** systemd's sockets listen before the service starts: a process that ends at once has them listen, and they stay open here. */
const LISTEN = `const {createServer}=require('node:net');let left=Number(process.argv[1]);
for(let fd=3;fd<3+Number(process.argv[1]);fd++)createServer().listen({fd,backlog:4096},()=>--left||process.exit())`
/** What of the log is kept. */
const LOG_CHARACTERS = 100_000

export async function startUpgradeSite(scene: Scene, options: UpgradeSiteOptions): Promise<UpgradeSite> {
  const { workers, spreadMs, graceMs } = options
  const authority = await makeAuthority(scene.directory)
  const store = await startChild<StoreAsk, StoreAnswer>(scene, '../soak/upgrade-store.ts')
  const names = ['imap', 'imaps', 'imapClear', 'pop3', 'pop3s', 'pop3Clear', 'admin'] as const
  const ports = {} as MailmuxPorts
  for (const name of names) ports[name] = await freePort()
  const sieve = await freePort()
  const { imap, pop3, managesieve } = store.ready
  const { configFile } = await writeConfiguration(scene, ports, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap, pop3, managesieve, limits: { logins: 10_000 } } },
    domains: { 'example.test': 'store1' },
    adminToken: TOKEN,
    limits: { spread_disconnects: `${spreadMs}ms`, shutdown_grace: `${graceMs}ms` },
    listeners: [
      {
        name: 'managesieve-none',
        protocol: 'managesieve',
        listen: [`127.0.0.1:${sieve}`],
        tls: 'none',
        allow_plaintext_auth: true,
      },
    ],
    settings: { workers, reload: 'signal', log: { level: 'warn', format: 'json' } },
  })
  // `reload: signal` has no use for `settle`.
  await writeFile(configFile, (await readFile(configFile, 'utf8')).replace(/^settle: .*\n/m, ''))

  const held: [string, number][] = [
    ['imap-starttls', ports.imap],
    ['imap-implicit', ports.imaps],
    ['imap-none', ports.imapClear],
    ['pop3-starttls', ports.pop3],
    ['pop3-implicit', ports.pop3s],
    ['pop3-none', ports.pop3Clear],
    ['managesieve-none', sieve],
  ]
  const holder = await holdPorts(scene, held)
  let log = ''
  let pid = 0
  const seen = new Set<string>()
  const own = (): string[] => [...seen].filter((one) => isRunning(one) && isOurs(one))
  const endAll = (): string[] => {
    const all = own().flatMap((one) => listProcesses(Number(one)))
    signalAll(all, 'SIGKILL')
    return all
  }
  // A generation has left the process group, so that a signal to this process does not reach it.
  process.once('exit', endAll)
  scene.closeLater(async () => {
    await waitUntilEnded(endAll())
    process.off('exit', endAll)
  })
  const remember = (): void => {
    for (const one of listProcesses(pid)) seen.add(one)
  }

  async function start(): Promise<void> {
    const [command, ...args] = [...NODE_OF_COMMAND, MAIN, 'run', '-c', configFile]
    // The shell becomes mailmux: LISTEN_PID is its process.
    const child: ChildProcess = spawn('sh', ['-c', 'export LISTEN_PID=$$; exec "$0" "$@"', command, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', ...holder.list().map(({ descriptor }) => descriptor)],
      env: { ...process.env, LISTEN_FDS: String(held.length), LISTEN_FDNAMES: held.map(([name]) => name).join(':') },
    })
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-LOG_CHARACTERS)))
    pid = child.pid ?? 0
    seen.add(String(pid))
    await until(
      START_DEADLINE_MS * Math.min(workers, 3),
      async () => (child.exitCode === null && (await isReady(ports.admin))) || undefined,
      () => `mailmux is not ready: ${log}`,
    )
    remember()
  }
  const order = (path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${ports.admin}/api/v1/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, connection: 'close' },
    })
  await start()

  const plain = (protocol: LoadPort['protocol'], port: number): LoadPort => ({ protocol, port, tls: undefined })
  const tls = { ca: authority.ca, servername: 'mail.example.test' }
  let questions = Promise.resolve()
  return {
    configFile,
    // Six in ten IMAP in clear, one each of the others.
    ports: [
      ...Array.from({ length: 6 }, () => plain('imap', ports.imapClear)),
      { protocol: 'imap', port: ports.imaps, tls },
      plain('pop3', ports.pop3Clear),
      { protocol: 'pop3', port: ports.pop3s, tls },
      plain('managesieve', sieve),
    ],
    hasReached(mark) {
      // The child answers one question at a time.
      const answer = questions.then(async () => (await store.ask({ marks: [mark] })).seen[0] === true)
      questions = answer.then(() => undefined)
      return answer
    },
    pid: () => pid,
    workers: () =>
      listProcesses(pid)
        .filter((one) => readFileSync(`/proc/${one}/cmdline`, 'utf8').split('\0').includes('worker'))
        .map(Number),
    async upgrade() {
      remember()
      const response = await order('upgrade')
      const text = await response.text()
      if (!response.ok) throw new Error(`upgrade: ${text}`)
      pid = upgradeAnswer.parse(JSON.parse(text)).pid
      remember()
    },
    async reload() {
      const response = await order('reload')
      await response.arrayBuffer()
      return response.ok
    },
    async metric(series) {
      const text = await (
        await fetch(`http://127.0.0.1:${ports.admin}/metrics`, { headers: { connection: 'close' } })
      ).text()
      const line = text.split('\n').find((one) => one.startsWith(`${series} `))
      return line === undefined ? undefined : Number(line.slice(series.length + 1))
    },
    startAgain: start,
    log: () => log,
    async stop() {
      remember()
      signalAll([String(pid)], 'SIGTERM')
      await waitUntilEnded(own())
    },
  }
}

async function holdPorts(scene: Scene, ports: readonly [name: string, port: number][]): Promise<BoundPorts> {
  const bound = await bindPorts(
    ports.map(([name, port]) => ({ name, listen: [{ host: '127.0.0.1', port, optional: false }] })),
  )
  scene.closeLater(() => bound.close())
  const descriptors = bound.list().map(({ descriptor }) => descriptor)
  const child = spawn(process.execPath, ['-e', LISTEN, String(descriptors.length)], {
    stdio: ['ignore', 'inherit', 'inherit', ...descriptors],
  })
  await once(child, 'exit')
  return bound
}

/** A process id may belong to another program by now. */
function isOurs(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(MAIN)
  } catch {
    return false
  }
}
