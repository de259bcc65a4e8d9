/** A master, its replica, and three Sentinels that watch over them: what a failover needs, on one machine. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { START_DEADLINE_MS, until } from './deadline.ts'
import { freePort } from './ports.ts'
import { startProgram } from './processes.ts'
import { type Redis, type RedisTls, startRedis, tlsCli, tlsSettings } from './redis.ts'
import type { Scene } from './scene.ts'

const run = promisify(execFile)

/** The name by which the Sentinels know the master. */
export const MASTER_NAME = 'routes'

export type WatchedRedis = {
  /** the first is the master at the start */
  redises: readonly [Redis, Redis]
  /** of the Sentinels, as the configuration wants them */
  addresses: string[]
  /** Who is the master, as the Sentinels say. */
  master: () => Promise<Redis>
  /** Orders a failover, and waits until the other one is master and says so itself. Gives it. */
  failOver: () => Promise<Redis>
  /** Waits until the Sentinels have made this one the master. */
  becomesMaster: (redis: Redis) => Promise<void>
}

export type WatchOptions = {
  /** of all five */
  tls?: RedisTls
  /** more of the command line of both, and what redis-cli needs for it */
  args?: readonly string[]
  cli?: readonly string[]
  /** more lines for the Sentinels' configuration, and what redis-cli needs to speak to them */
  sentinel?: readonly string[]
  sentinelCli?: readonly string[]
}

export async function startWatchedRedis(scene: Scene, options: WatchOptions = {}): Promise<WatchedRedis> {
  const { tls, args = [], cli = [] } = options
  const common = { cli, ...(tls && { tls }) }
  const sentinelCli = [...(tls ? tlsCli(tls) : []), ...(options.sentinelCli ?? [])]
  const first = await startRedis(scene, { ...common, args })
  const replicaOf = ['--replicaof', '127.0.0.1', String(first.port)]
  // Synced at once, not after the seconds in which others might join.
  const quick = ['--repl-diskless-sync-delay', '0']
  const second = await startRedis(scene, { ...common, args: [...args, ...replicaOf, ...quick] })
  const redises = [first, second] as const
  await until(
    START_DEADLINE_MS,
    async () => (await second.command('INFO', 'replication')).includes('master_link_status:up') || undefined,
    () => 'the replica does not sync',
  )

  const ports = [await freePort(), await freePort(), await freePort()]
  await Promise.all(ports.map((port) => startSentinel(scene, port, first.port, options)))
  const ask = async (port: number, ...words: string[]): Promise<string> => {
    const { stdout } = await run('redis-cli', [
      '-h',
      '127.0.0.1',
      '-p',
      String(port),
      ...sentinelCli,
      'SENTINEL',
      ...words,
    ])
    return stdout
  }
  // A failover needs a Sentinel that knows of the replica, and a majority that know of each other.
  await until(
    START_DEADLINE_MS,
    async () => {
      const seen = await Promise.all(ports.map((port) => ask(port, 'MASTER', MASTER_NAME)))
      const knows = (text: string, field: string, value: string) => text.includes(`${field}\n${value}\n`)
      const isReady = (text: string) => knows(text, 'num-slaves', '1') && knows(text, 'num-other-sentinels', '2')
      return seen.every(isReady) || undefined
    },
    () => 'the Sentinels do not find each other',
  )

  const masterPort = async (): Promise<number> =>
    Number((await ask(ports[0]!, 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)).split('\n')[1])
  const master = async (): Promise<Redis> => {
    const port = await masterPort()
    return redises.find((redis) => redis.port === port)!
  }
  const becomesMaster = async (redis: Redis): Promise<void> => {
    await until(
      FAILOVER_DEADLINE_MS,
      async () => {
        const isNamed = (await masterPort()) === redis.port
        return (isNamed && (await redis.command('ROLE')).startsWith('master')) || undefined
      },
      () => 'the Sentinels make no other master',
    )
  }
  return {
    redises,
    addresses: ports.map((port) => `127.0.0.1:${port}`),
    master,
    becomesMaster,
    failOver: async () => {
      const before = await master()
      const after = redises.find((redis) => redis !== before)!
      await ask(ports[0]!, 'FAILOVER', MASTER_NAME)
      await becomesMaster(after)
      return after
    },
  }
}

/** Ten times what it takes. */
const FAILOVER_DEADLINE_MS = 30_000

/** As short as a loaded machine allows: a master that is slow for a moment is not to be taken for dead. */
const DOWN_AFTER_MS = 2000

async function startSentinel(
  scene: Scene,
  port: number,
  masterPort: number,
  { tls, sentinel = [] }: WatchOptions,
): Promise<void> {
  // A Sentinel writes what it learns into its own configuration.
  const file = join(scene.directory, `sentinel-${port}.conf`)
  await writeFile(
    file,
    [
      ...(tls ? tlsSettings(port, tls).map((words) => words.join(' ')) : [`port ${port}`]),
      'bind 127.0.0.1',
      `dir ${scene.directory}`,
      `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${masterPort} 2`,
      `sentinel down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${MASTER_NAME} 5000`,
      ...sentinel,
      '',
    ].join('\n'),
  )
  const program = startProgram(scene, { name: 'sentinel', command: 'redis-server', args: [file, '--sentinel'] })
  await program.waitForLine((line) => line.includes('+monitor master'), START_DEADLINE_MS, 'its readiness')
}
