/**
 * The commands to Redis, with one interface for a single Redis, for the master that Sentinels name and for a Cluster. Each command
 * gets a reply in time or an error. Also reports which server answers, for the tracking of changes (remembered/invalidation.ts).
 */
import type { Cluster, Redis } from 'ioredis'
import type { Endpoint, RedisSettings } from '../../config/settings.ts'
import type { NoteShortage } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { connectCluster, connectRedis, type CurrentSettings } from './connection.ts'
import { BadAnswer, causeOf, isForbidden, isOwnShortage, RedisFailure, toFailure } from './errors.ts'

/** Identifies a server process: after a restart `runId` differs. `evictionPolicy` is undefined if INFO does not contain it. */
export type ServerIdentity = { runId: string; role: string; evictionPolicy: string | undefined }

/** The server or servers that answer lookups, which may change. */
export type LookupServer =
  | {
      kind: 'one'
      identify: () => Promise<ServerIdentity>
      /** Closes the connection, and determines again where to connect to. */
      reconnect: () => void
      /** @param listener called when the connection is lost and when it is restored */
      onChange: (listener: (connected: boolean) => void) => void
    }
  | {
      kind: 'cluster'
      /**
       * @param listener gets the masters that hold slots: all of them if `whole`, else one that has just connected. Called before
       *   the first command to a new one, and every 2 seconds while the Cluster answers.
       */
      onMasters: (listener: (masters: readonly Endpoint[], whole: boolean) => void) => void
    }

export type RedisClient = {
  /** resolves with the first connection */
  readonly connected: Promise<void>
  /** @throws Error after at most `timeoutMs`, and immediately without a connection; BadAnswer */
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>
  /** Whether the key exists; false also if the Redis user lacks the right to EXISTS. @throws Error like `hmget` */
  exists(key: string): Promise<boolean>
  /** It may take effect after the error. @throws Error like `hmget` */
  hset(key: string, fields: Readonly<Record<string, string>>): Promise<void>
  /** Sets a field unless the hash has it. It may take effect after the error. @throws Error like `hmget` */
  hsetnx(key: string, field: string, value: string): Promise<void>
  /**
   * Runs a script. In a Cluster its keys must be in one slot, which selects the node. It may take effect after the error, because a
   * command that was sent cannot be cancelled.
   * @throws Error like `hmget`
   */
  eval(script: string, keys: readonly string[], ...values: string[]): Promise<unknown>
  /** @throws Error like `hmget` */
  get(key: string): Promise<string | null>
  /** Sets a key that expires. It may take effect after the error. @throws Error like `hmget` */
  setForSeconds(key: string, value: string, seconds: number): Promise<void>
  /** It may take effect after the error. @throws Error like `hmget` */
  del(key: string): Promise<void>
  /** In a Cluster every node passes the message on. It may be sent after the error. @throws Error like `hmget` */
  publish(channel: string, message: string): Promise<void>
  readonly lookupServer: LookupServer
  close(): void
}

export type RedisClientOptions = {
  /** called for a connection that fails because this machine lacks resources */
  noteShortage?: NoteShortage | undefined
  /** the same settings with the current passwords and keys */
  current?: CurrentSettings
  /** called for each new cause of a lost connection, in place of a line in the log */
  noteUnavailable?: ((cause: string) => void) | undefined
}

/**
 * Connects in the background, so that static users are served while Redis is unavailable.
 * @param onConnection called whenever the connection is established or lost
 */
export function openRedisClient(
  settings: RedisSettings,
  log: Log,
  onConnection: (connected: boolean) => void,
  { noteShortage = () => undefined, current = () => settings, ...options }: RedisClientOptions = {},
): RedisClient {
  const noteUnavailable =
    options.noteUnavailable ?? ((cause: string): void => log.error({ cause }, 'directory unavailable'))
  // commandTimeout leaves a dead socket in use; socketTimeout replaces the socket.
  const socketTimeout = Math.max(1500, 3 * settings.timeoutMs)
  const { timeoutMs } = settings
  if (settings.servers.kind === 'cluster') {
    const { client, close } = connectCluster(settings, socketTimeout, current)
    const { connected, lastCause } = announce(client, { onConnection, noteShortage, noteUnavailable })
    const ask = <T>(command: () => Promise<T>): Promise<T> => named(inCluster(client, timeoutMs, command), lastCause)
    return { connected, ...commandsOf(client, ask), lookupServer: clusterLookupServer(client), close }
  }
  const { client, close } = connectRedis(settings, { socketTimeout, enableAutoPipelining: true }, undefined, current)
  const { connected, lastCause } = announce(client, { onConnection, noteShortage, noteUnavailable })
  return {
    connected,
    ...commandsOf(client, (command) => named(command(), lastCause)),
    lookupServer: {
      kind: 'one',
      identify: () => identify(client),
      reconnect: () => hangUp(client),
      onChange(listener) {
        client.on('ready', () => listener(true))
        client.on('close', () => listener(false))
      },
    },
    close,
  }
}

function commandsOf(
  client: Redis | Cluster,
  ask: <T>(command: () => Promise<T>) => Promise<T>,
): Omit<RedisClient, 'connected' | 'lookupServer' | 'close'> {
  return {
    hmget: async (key, ...fields) => checkFields(await ask(() => client.hmget(key, ...fields)), fields.length),
    exists: (key) => checkExists(ask(() => client.exists(key))),
    async hset(key, fields) {
      await ask(() => client.hset(key, fields))
    },
    async hsetnx(key, field, value) {
      await ask(() => client.hsetnx(key, field, value))
    },
    eval: (script, keys, ...values) => ask(() => client.eval(script, keys.length, ...keys, ...values)),
    get: async (key) => checkText(await ask(() => client.get(key))),
    async setForSeconds(key, value, seconds) {
      await ask(() => client.set(key, value, 'EX', seconds))
    },
    async del(key) {
      await ask(() => client.del(key))
    },
    async publish(channel, message) {
      await ask(() => client.publish(channel, message))
    },
  }
}

/** @throws RedisFailure instead of any other error */
async function named<T>(answer: Promise<T>, lastCause: () => string | undefined): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw toFailure(error, lastCause())
  }
}

/** @throws Error if INFO lacks the identity */
export async function identify(client: Redis): Promise<ServerIdentity> {
  const info = await client.info()
  const field = (name: string): string | undefined => new RegExp(`^${name}:([\\w-]+)\r?$`, 'mu').exec(info)?.[1]
  const [runId, role] = [field('run_id'), field('role')]
  if (runId === undefined || role === undefined) throw new RedisFailure('INFO without run_id and role')
  return { runId, role, evictionPolicy: field('maxmemory_policy') }
}

/** Checks the form of a reply to HMGET. The types of ioredis only describe what Redis should send. */
function checkFields(answer: unknown, count: number): (string | null)[] {
  const fields: unknown[] = Array.isArray(answer) ? answer : []
  const isField = (field: unknown): field is string | null => field === null || typeof field === 'string'
  if (fields.length !== count || !fields.every(isField)) throw new BadAnswer('HMGET was answered in another form')
  return fields
}

function checkText(answer: unknown): string | null {
  if (answer !== null && typeof answer !== 'string') throw new BadAnswer('GET was answered in another form')
  return answer
}

async function checkExists(asked: Promise<unknown>): Promise<boolean> {
  let answer: unknown
  try {
    answer = await asked
  } catch (error) {
    if (isForbidden(error)) return false
    throw error
  }
  if (answer !== 0 && answer !== 1) throw new BadAnswer('EXISTS was answered in another form')
  return answer === 1
}

/** Replaces the connection. Has no effect while it is being established, when ioredis would end it for good. */
export function hangUp(client: Redis): void {
  if (client.status === 'ready') client.disconnect(true)
}

type ConnectionListener = Required<Pick<RedisClientOptions, 'noteShortage' | 'noteUnavailable'>> & {
  onConnection: (connected: boolean) => void
}

/** Reports the state of the connection. @returns a promise of the first connection, and the last known error */
function announce(
  client: Redis | Cluster,
  { onConnection, noteShortage, noteUnavailable }: ConnectionListener,
): { connected: Promise<void>; lastCause: () => string | undefined } {
  let said: string | undefined
  client.on('ready', () => {
    said = undefined
    onConnection(true)
  })
  client.on('close', () => onConnection(false))
  client.on('error', (error) => {
    // One line for each new cause: an outage of an hour is one event.
    const cause = causeOf(error)
    if (isOwnShortage(error)) noteShortage?.('directory', `Redis cannot be connected to: ${cause}`)
    else if (cause !== said) noteUnavailable?.(cause)
    said = cause
  })
  return { connected: new Promise((resolve) => client.once('ready', resolve)), lastCause: () => said }
}

/** ioredis tries a command on other nodes, waits for a topology, and restarts its deadline each time. This deadline covers all of that. */
async function inCluster<T>(client: Cluster, timeoutMs: number, ask: () => Promise<T>): Promise<T> {
  if (client.status !== 'ready') throw new Error('not connected') // `named` replaces it by the cause
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new RedisFailure('no answer in time')), timeoutMs)
  try {
    return await Promise.race([ask(), late])
  } finally {
    clearTimeout(timer)
  }
}

function clusterLookupServer(client: Cluster): LookupServer {
  const placeOf = ({ options: { host, port } }: Redis): Endpoint[] =>
    host === undefined || port === undefined ? [] : [{ host, port }]
  return {
    kind: 'cluster',
    onMasters(listener) {
      client.on('refresh', () => listener(client.nodes('master').flatMap(placeOf), true))
      // Until the topology is known these are the nodes of the configuration, masters or not.
      client.on('+node', (node: Redis) => {
        if (client.status === 'ready' && node.options.readOnly !== true) listener(placeOf(node), false)
      })
    },
  }
}
