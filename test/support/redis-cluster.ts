/** A Redis Cluster of three masters, with replicas where asked for, on one machine. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { START_DEADLINE_MS, until } from './deadline.ts'
import { freePort } from './ports.ts'
import { type Redis, type RedisTls, startRedis, tlsCli } from './redis.ts'
import type { Scene } from './scene.ts'

const run = promisify(execFile)

export type RedisCluster = {
  /** three that hold a third of the slots each, at the start */
  masters: readonly Redis[]
  /** one for each master, in the same order, or none */
  replicas: readonly Redis[]
  /** of every node, as the configuration wants them */
  nodes: string[]
  /** Runs one command on whichever node holds its key. */
  command: (...words: string[]) => Promise<string>
  /** The slot of a key, and which of the masters of the start it was given to. */
  slotOf: (key: string) => Promise<number>
  homeOf: (key: string) => Promise<number>
  /** Makes a replica the master in its master's place, as an operator does before he turns that off. */
  promote: (replica: Redis) => Promise<void>
  /** Moves a slot with its keys from one master to another, one command after the other. */
  moveSlot: (slot: number, from: Redis, to: Redis) => Promise<void>
  /** Starts a node that holds nothing, and lets it join. */
  addNode: () => Promise<Redis>
}

export type ClusterOptions = {
  replicas?: boolean
  tls?: RedisTls
  /** more of the command line of each node */
  args?: readonly string[]
  cli?: readonly string[]
}

const SLOTS = 16_384
const MASTERS = 3

/** One that is slow for so long is dead to the others. */
const NODE_TIMEOUT_MS = 2000

export async function startRedisCluster(scene: Scene, options: ClusterOptions = {}): Promise<RedisCluster> {
  const { tls, args = [], cli = [] } = options
  const common = { cli, ...(tls && { tls }) }
  const startNode = async (): Promise<Node> => {
    // The usual port of the bus, 10000 above the other, may be one that the kernel gives away.
    const [port, busPort] = [await freePort(), await freePort()]
    const own = [
      ...['--cluster-enabled', 'yes', '--cluster-config-file', `nodes-${port}.conf`, '--cluster-port', String(busPort)],
      ...['--cluster-node-timeout', String(NODE_TIMEOUT_MS), '--cluster-require-full-coverage', 'no'],
      ...['--repl-diskless-sync-delay', '0'],
    ]
    return { redis: await startRedis(scene, { ...common, port, args: [...own, ...args] }), busPort }
  }
  const nodes = await Promise.all(Array.from({ length: options.replicas === true ? 2 * MASTERS : MASTERS }, startNode))
  const meet = ({ redis, busPort }: Node): Promise<string> =>
    nodes[0]!.redis.command('CLUSTER', 'MEET', '127.0.0.1', String(redis.port), String(busPort))
  const masters = nodes.slice(0, MASTERS).map(({ redis }) => redis)
  const replicas = nodes.slice(MASTERS).map(({ redis }) => redis)
  await Promise.all(
    masters.map((redis, index) => {
      const [first, next] = [index, index + 1].map((n) => Math.floor((n * SLOTS) / MASTERS))
      return redis.command('CLUSTER', 'ADDSLOTSRANGE', String(first), String(next! - 1))
    }),
  )
  for (const node of nodes.slice(1)) await meet(node)

  const everybody = (): Promise<void> => allKnow(nodes)
  await everybody()
  for (const [index, replica] of replicas.entries()) {
    await replica.command('CLUSTER', 'REPLICATE', await masters[index]!.command('CLUSTER', 'MYID'))
  }
  for (const replica of replicas) {
    await until(
      START_DEADLINE_MS,
      async () => (await replica.command('INFO', 'replication')).includes('master_link_status:up') || undefined,
      () => 'a replica does not sync',
    )
  }

  const slotOf = async (key: string): Promise<number> => Number(await masters[0]!.command('CLUSTER', 'KEYSLOT', key))
  return {
    masters,
    replicas,
    nodes: nodes.map(({ redis }) => `127.0.0.1:${redis.port}`),
    command: async (...words) => {
      for (const { redis } of nodes) {
        // Any that lives leads to the right one.
        const where = ['-c', '-h', '127.0.0.1', '-p', String(redis.port), ...(tls ? tlsCli(tls) : []), ...cli]
        const answer = await run('redis-cli', [...where, ...words]).catch(() => undefined)
        if (answer) return answer.stdout.trimEnd()
      }
      throw new Error('no node of the Cluster can be asked')
    },
    slotOf,
    homeOf: async (key) => Math.floor(((await slotOf(key)) * MASTERS) / SLOTS),
    promote: async (replica) => {
      await replica.command('CLUSTER', 'FAILOVER')
      await until(
        START_DEADLINE_MS,
        async () => (await replica.command('ROLE')).startsWith('master') || undefined,
        () => 'the replica does not become a master',
      )
    },
    moveSlot: async (slot, from, to) => {
      const [fromId, toId] = [await from.command('CLUSTER', 'MYID'), await to.command('CLUSTER', 'MYID')]
      await to.command('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', fromId)
      await from.command('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', toId)
      const keys = await from.command('CLUSTER', 'GETKEYSINSLOT', String(slot), '100')
      for (const key of keys.split('\n').filter((one) => one !== '')) {
        await from.command('MIGRATE', '127.0.0.1', String(to.port), key, '0', '5000')
      }
      for (const redis of [to, from]) await redis.command('CLUSTER', 'SETSLOT', String(slot), 'NODE', toId)
    },
    addNode: async () => {
      const node = await startNode()
      nodes.push(node)
      await meet(node)
      await everybody()
      return node.redis
    },
  }
}

type Node = { redis: Redis; busPort: number }

/** Waits until each node knows all the others and finds the Cluster in order. */
async function allKnow(nodes: readonly Node[]): Promise<void> {
  for (const { redis } of nodes) {
    await until(
      START_DEADLINE_MS,
      async () => {
        const info = await redis.command('CLUSTER', 'INFO')
        return (
          (info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes.length}\r`)) || undefined
        )
      },
      () => 'the nodes of the Cluster do not find each other',
    )
  }
}
