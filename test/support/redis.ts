/** A real Redis of the test's own: nothing on disk unless asked for, its own port, and ways to make it fail. */
import { execFile } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { START_DEADLINE_MS } from './deadline.ts'
import { freePort } from './ports.ts'
import { slowTree } from './process-tree.ts'
import { type Program, startProgram } from './processes.ts'
import type { Scene } from './scene.ts'

const run = promisify(execFile)

export type Redis = {
  port: number
  url: string
  /** Runs one command by redis-cli, as an operator would; gives its output without the last line break. */
  command: (...words: string[]) => Promise<string>
  /** It holds its connections and answers nothing, like a machine that hangs. */
  pause: () => void
  resume: () => void
  /** It runs a tenth of the time. Gives how to end that. */
  slow: () => () => void
  stop: () => Promise<void>
  /** It dies at once. */
  kill: () => Promise<void>
  /** Starts it again on the same port: empty, unless it is durable. */
  restart: () => Promise<void>
}

export type RedisOptions = {
  port?: number
  /** what was written before a stop or a kill is there after the restart */
  durable?: boolean
  /** TLS alone, for everybody */
  tls?: RedisTls
  /** more of redis-server's command line; wins over what stands there */
  args?: readonly string[]
  /** what redis-cli needs besides the port and TLS, such as credentials */
  cli?: readonly string[]
}

export type RedisTls = { certFile: string; keyFile: string; caFile: string; clientCertificates: 'yes' | 'no' }

/** The settings of a Redis, a node of a Cluster or a Sentinel that speaks TLS on this port, and nothing else on any. */
export function tlsSettings(port: number, tls: RedisTls): [string, string][] {
  return [
    ['port', '0'],
    ['tls-port', String(port)],
    ['tls-cert-file', tls.certFile],
    ['tls-key-file', tls.keyFile],
    ['tls-ca-cert-file', tls.caFile],
    ['tls-auth-clients', tls.clientCertificates],
    ['tls-replication', 'yes'],
    ['tls-cluster', 'yes'],
  ]
}

/** What redis-cli needs for it. */
export function tlsCli({ certFile, keyFile, caFile }: RedisTls): string[] {
  return ['--tls', '--cacert', caFile, '--cert', certFile, '--key', keyFile]
}

/** Starts redis-server on `port` or a free one, and waits until it accepts connections. */
export async function startRedis(scene: Scene, options: RedisOptions = {}): Promise<Redis> {
  const port = options.port ?? (await freePort())
  const directory = join(scene.directory, `redis-${port}`)
  const cli = [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    ...(options.tls ? tlsCli(options.tls) : []),
    ...(options.cli ?? []),
  ]
  await mkdir(directory, { recursive: true })
  const start = async (): Promise<Program> => {
    const program = startProgram(scene, {
      name: 'redis',
      command: 'redis-server',
      args: [
        '--port',
        String(port),
        '--bind',
        '127.0.0.1',
        '--save',
        '',
        '--appendonly',
        options.durable === true ? 'yes' : 'no',
        // An answered write is on the disk: nobody is placed twice because of a crash.
        '--appendfsync',
        'always',
        '--dir',
        directory,
        ...(options.tls ? tlsSettings(port, options.tls).flatMap(([name, value]) => [`--${name}`, value]) : []),
        ...(options.args ?? []),
      ],
    })
    await program.waitForLine(
      (line) => line.includes('Ready to accept connections'),
      START_DEADLINE_MS,
      'its readiness',
    )
    return program
  }
  let program = await start()

  return {
    port,
    url: `${options.tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`,
    command: async (...words) => {
      const { stdout } = await run('redis-cli', [...cli, ...words])
      return stdout.trimEnd()
    },
    pause: () => program.signal('SIGSTOP'),
    resume: () => program.signal('SIGCONT'),
    stop: async () => {
      program.signal('SIGCONT') // a stopped process hears no SIGTERM
      await program.stop()
    },
    slow: () => slowTree(program.pid),
    kill: async () => {
      program.signal('SIGKILL')
      await program.exited
    },
    restart: async () => {
      program = await start()
    },
  }
}
