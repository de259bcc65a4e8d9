/** The real program, started as an operator starts it: two YAML files, `main.ts run -c FILE`, a log line that says ready. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import { stringify } from 'yaml'
import type { Leaf } from './certificates.ts'
import { MAIN } from './command.ts'
import { START_DEADLINE_MS } from './deadline.ts'
import type { Dovecot } from './dovecot.ts'
import { freePort } from './ports.ts'
import { type Program, startProgram } from './processes.ts'
import { MAILMUX_RUNTIME } from './runtime.ts'
import type { Scene } from './scene.ts'

export type Yaml = string | number | boolean | null | Yaml[] | { [key: string]: Yaml }
export type YamlMap = { [key: string]: Yaml }

export type MailmuxOptions = {
  certificate: Leaf
  /** the back ends of the routing file; `toBackend()` makes an entry from a Dovecot */
  backends: Record<string, YamlMap>
  users?: YamlMap
  domains?: YamlMap
  aliases?: YamlMap
  /** the `directory` of the main file; default: the routing file alone */
  directory?: YamlMap
  limits?: YamlMap
  /** listeners beside the usual six (IMAP and POP3, each with STARTTLS, implicit TLS and plain text) */
  listeners?: YamlMap[]
  /** the Unix socket of the admin API, beside the configuration; default: off, so that mailmuxes at the same time share nothing */
  adminSocket?: string
  /** what the admin API asks for; default: nothing */
  adminToken?: string
  /** the limit of open files, as `prlimit --nofile` takes it: `soft:hard` */
  openFiles?: string
  /** what runs; default: the program of this checkout */
  program?: { runtime: string; main: string }
  /** its environment; default: that of the test */
  env?: NodeJS.ProcessEnv
  /** anything else for the top of the main file */
  settings?: YamlMap
  /** anything else for the top of the routing file */
  routing?: YamlMap
}

/** `MAILMUX_WORKERS=2 node --test 'test/e2e/*.test.ts'` runs what there is with so many; a test that is about one of them says so itself. */
const WORKERS = process.env.MAILMUX_WORKERS

export type LogLine = { msg: string; level: unknown; [key: string]: unknown }

/** The ports of the usual listeners, by their names in the configuration. */
export type MailmuxPorts = {
  imap: number
  imaps: number
  /** IMAP that takes a password in clear */
  imapClear: number
  pop3: number
  pop3s: number
  pop3Clear: number
  admin: number
}

export type Mailmux = {
  ports: MailmuxPorts
  pid: number
  program: Program
  /** the main file and the routing file, for tests that change them */
  configFile: string
  routingFile: string
  log: () => LogLine[]
  /** Waits for a log line, those already written included. */
  waitForLog: (wanted: (line: LogLine) => boolean, what: string, ms?: number) => Promise<LogLine>
  /** resident memory in bytes, as the kernel counts it */
  memory: () => Promise<number>
  /** the text of `/metrics` */
  metrics: () => Promise<string>
  /** The value of one series, its labels included in the order in which they are exposed; undefined when there is none. */
  metric: (series: string) => Promise<number | undefined>
  /** SIGTERM; the program must exit with 0. */
  stop: () => Promise<void>
}

/** A back end of the routing file that stands for a Dovecot of this test: in clear, or in TLS that is verified against `caFile`. */
export function toBackend(dovecot: Dovecot, tls?: 'starttls' | 'implicit', caFile?: string): YamlMap {
  const { imap, pop3, imaps, pop3s, managesieve } = dovecot.ports
  const inClear = { imap, pop3, ...(managesieve !== undefined && { managesieve }) }
  if (tls === undefined || caFile === undefined) return { host: '127.0.0.1', ...inClear, tls: 'none' }
  const ports = tls === 'implicit' ? { imap: imaps ?? imap, pop3: pop3s ?? pop3 } : inClear
  return { host: '127.0.0.1', ...ports, tls, tls_name: 'mail.example.test', ca_file: caFile }
}

/** A free port for each of the usual listeners. */
export async function freeMailmuxPorts(): Promise<MailmuxPorts> {
  return {
    imap: await freePort(),
    imaps: await freePort(),
    imapClear: await freePort(),
    pop3: await freePort(),
    pop3s: await freePort(),
    pop3Clear: await freePort(),
    admin: await freePort(),
  }
}

/** As `startMailmux`, in a folder of its own: for several of one scene. */
export async function startNamedMailmux(scene: Scene, name: string, options: MailmuxOptions): Promise<Mailmux> {
  const directory = join(scene.directory, name)
  await mkdir(directory)
  return startMailmux({ ...scene, directory }, options)
}

/** Writes the two files into the scene's directory and starts mailmux; resolves when it is ready. */
export async function startMailmux(scene: Scene, options: MailmuxOptions): Promise<Mailmux> {
  const ports = await freeMailmuxPorts()
  const { configFile, routingFile } = await writeConfiguration(scene, ports, options)
  const program = launchMailmux(scene, configFile, undefined, options)
  const processes = Number(options.settings?.workers ?? WORKERS ?? 1) // which start side by side, on as few cores as one
  const startMs = START_DEADLINE_MS * Math.min(processes, 3)
  await program.waitForLine((line) => parseLog(line)?.msg === 'ready', startMs, 'its readiness')

  const metrics = async () => {
    const response = await fetch(`http://127.0.0.1:${ports.admin}/metrics`)
    assert.equal(response.status, 200)
    return response.text()
  }
  return {
    ports,
    pid: program.pid,
    program,
    configFile,
    routingFile,
    log: () =>
      program
        .stdout()
        .split('\n')
        .map(parseLog)
        .filter((line) => line !== undefined),
    // A reload starts a process.
    waitForLog: async (wanted, what, ms = START_DEADLINE_MS) => {
      const isWanted = (text: string) => {
        const line = parseLog(text)
        return line !== undefined && wanted(line)
      }
      return parseLog(await program.waitForLine(isWanted, ms, `the log line: ${what}`))!
    },
    memory: async () => {
      const status = await readFile(`/proc/${program.pid}/status`, 'utf8')
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024
    },
    metrics,
    metric: async (series) => {
      const line = (await metrics()).split('\n').find((text) => text.startsWith(`${series} `))
      return line === undefined ? undefined : Number(line.slice(series.length + 1))
    },
    stop: async () => {
      const exit = await program.stop()
      assert.deepEqual(exit, { code: 0, signal: null }, `mailmux did not exit cleanly:\n${program.stderr()}`)
    },
  }
}

const CHECKOUT = { runtime: MAILMUX_RUNTIME, main: MAIN }

/** Starts `mailmux run` on a configuration file and waits for nothing: for tests of a start that fails. */
export function launchMailmux(
  scene: Scene,
  configFile: string,
  show?: (line: string) => void,
  { openFiles, env, program = CHECKOUT }: Pick<MailmuxOptions, 'openFiles' | 'env' | 'program'> = {},
): Program {
  const { runtime, main } = program
  const args = [main, 'run', '-c', configFile]
  return startProgram(scene, {
    name: 'mailmux',
    ...(openFiles === undefined
      ? { command: runtime, args }
      : { command: 'prlimit', args: [`--nofile=${openFiles}`, '--', runtime, ...args] }),
    ...(env && { env }),
    ...(show === undefined ? {} : { show }),
  })
}

/** Writes `mailmux.yaml` and `routing.yaml` for these ports. */
export async function writeConfiguration(
  scene: Scene,
  ports: MailmuxPorts,
  options: MailmuxOptions,
): Promise<{ configFile: string; routingFile: string }> {
  const configFile = join(scene.directory, 'mailmux.yaml')
  const { adminToken: token } = options
  if (token !== undefined) await writeFile(join(scene.directory, 'admin.token'), `${token}\n`)
  const routingFile = join(scene.directory, 'routing.yaml')
  const main: YamlMap = {
    hostname: 'mail.example.test',
    ...(WORKERS === undefined ? {} : { workers: Number(WORKERS) }),
    listeners: [
      listener('imap', ports.imap, 'starttls'),
      listener('imap', ports.imaps, 'implicit'),
      { ...listener('imap', ports.imapClear, 'none'), allow_plaintext_auth: true },
      listener('pop3', ports.pop3, 'starttls'),
      listener('pop3', ports.pop3s, 'implicit'),
      { ...listener('pop3', ports.pop3Clear, 'none'), allow_plaintext_auth: true },
      ...(options.listeners ?? []),
    ],
    tls: { certificates: [{ cert: options.certificate.certFile, key: options.certificate.keyFile }] },
    directory: options.directory ?? { static: {} },
    routing: 'routing.yaml',
    admin: {
      listen: `127.0.0.1:${ports.admin}`,
      socket: options.adminSocket ?? 'off',
      ...(token === undefined ? {} : { token_file: 'admin.token' }),
    },
    settle: '100ms', // the default of 2 s would be the longest part of many tests
    log: { level: 'debug', format: 'json' },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...options.settings,
  }
  const routing: YamlMap = {
    backends: options.backends,
    ...(options.users === undefined ? {} : { users: options.users }),
    ...(options.domains === undefined ? {} : { domains: options.domains }),
    ...(options.aliases === undefined ? {} : { domain_aliases: options.aliases }),
    ...options.routing,
  }
  await writeFile(configFile, stringify(main))
  await writeFile(routingFile, stringify(routing))
  return { configFile, routingFile }
}

function listener(protocol: 'imap' | 'pop3', port: number, tls: 'none' | 'starttls' | 'implicit'): YamlMap {
  return { name: `${protocol}-${tls}`, protocol, listen: [`127.0.0.1:${port}`], tls, default_domain: 'example.test' }
}

/** A line of mailmux's output as a log entry; undefined when it is something else. */
function parseLog(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined
  return JSON.parse(line) as LogLine
}
