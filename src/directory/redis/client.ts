/**
 * What asks Redis, and is the same for one Redis, for the master that Sentinels name and for a Cluster: a command, an answer in time or
 * an error. Tells as well whom it asks, for whoever has to follow it (remembered/invalidation.ts).
 */
import type { Cluster, Redis } from 'ioredis'
import type { Endpoint, RedisSettings } from '../../config/settings.ts'
import type { NoteShortage } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { connectCluster, connectRedis, type CurrentSettings } from './connection.ts'
import { BadAnswer, causeOf, isForbidden, isOwnShortage, RedisFailure, toFailure } from './errors.ts'

/** Which process answers; a new one is another, be it at the same address. `evictionPolicy` is undefined where INFO does not tell it. */
export type ServerIdentity = { runId: string; role: string; evictionPolicy: string | undefined }

/** Who answers, as it changes. */
export type LookupServer =
  | {
      kind: 'one'
      identify: () => Promise<ServerIdentity>
      /** Hangs up, and asks anew where to connect to. */
      reconnect: () => void
      /** @param listener is told at once when the connection is lost, and when it is there again */
      onChange: (listener: (connected: boolean) => void) => void
    }
  | {
      kind: 'cluster'
      /**
       * @param listener gets the masters that hold slots: all of them where `whole`, else one that has just come up. Called before
       *   anything is asked of a new one, and again every 2 seconds as long as the Cluster answers.
       */
      onMasters: (listener: (masters: readonly Endpoint[], whole: boolean) => void) => void
    }

export type RedisClient = {
  /** resolves with the first connection */
  readonly connected: Promise<void>
  /** @throws Error after `timeoutMs` at the latest, and at once while there is no connection; BadAnswer */
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>
  /** Whether there is such a key; false also where this user of Redis may not ask. @throws Error like `hmget` */
  exists(key: string): Promise<boolean>
  /** It may take effect after the error. @throws Error like `hmget` */
  hset(key: string, fields: Readonly<Record<string, string>>): Promise<void>
  /** Sets a field that the hash does not have yet, and leaves it as it is otherwise. It may take effect after the error. @throws Error like `hmget` */
  hsetnx(key: string, field: string, value: string): Promise<void>
  /**
   * A script about keys that a Cluster keeps in one place, since they say whom to ask. It may take effect after the error, as a
   * command that was sent cannot be taken back.
   * @throws Error like `hmget`
   */
  eval(script: string, keys: readonly string[], ...values: string[]): Promise<unknown>
  readonly lookupServer: LookupServer
  close(): void
}

export type RedisClientOptions = {
  /** told of a connection that fails for want of this machine's own means */
  noteShortage?: NoteShortage | undefined
  /** the same settings, with the passwords and keys of now */
  current?: CurrentSettings
}

/**
 * Connects in the background: a Redis that is away does not keep mailmux from serving static users.
 * @param onConnection called whenever the connection comes or goes
 */
export function openRedisClient(
  settings: RedisSettings,
  log: Log,
  onConnection: (connected: boolean) => void,
  { noteShortage = () => undefined, current = () => settings }: RedisClientOptions = {},
): RedisClient {
  // commandTimeout leaves a dead socket in use; this one has it replaced.
  const socketTimeout = Math.max(1500, 3 * settings.timeoutMs)
  const { timeoutMs } = settings
  if (settings.servers.kind === 'cluster') {
    const { client, close } = connectCluster(settings, socketTimeout, current)
    const { connected, lastCause } = announce(client, log, onConnection, noteShortage)
    const ask = <T>(command: () => Promise<T>): Promise<T> => named(inCluster(client, timeoutMs, command), lastCause)
    return { connected, ...commandsOf(client, ask), lookupServer: clusterLookupServer(client), close }
  }
  const { client, close } = connectRedis(settings, { socketTimeout, enableAutoPipelining: true }, undefined, current)
  const { connected, lastCause } = announce(client, log, onConnection, noteShortage)
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
): Pick<RedisClient, 'hmget' | 'exists' | 'hset' | 'hsetnx' | 'eval'> {
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
  }
}

/** @throws RedisFailure in the place of any error */
async function named<T>(answer: Promise<T>, lastCause: () => string | undefined): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw toFailure(error, lastCause())
  }
}

/** @throws Error where Redis does not say who it is */
export async function identify(client: Redis): Promise<ServerIdentity> {
  const info = await client.info()
  const field = (name: string): string | undefined => new RegExp(`^${name}:([\\w-]+)\r?$`, 'mu').exec(info)?.[1]
  const [runId, role] = [field('run_id'), field('role')]
  if (runId === undefined || role === undefined) throw new RedisFailure('INFO without run_id and role')
  return { runId, role, evictionPolicy: field('maxmemory_policy') }
}

/** The one place where the form of an answer of HMGET is checked: the types of ioredis only say what Redis ought to send. */
function checkFields(answer: unknown, count: number): (string | null)[] {
  const fields: unknown[] = Array.isArray(answer) ? answer : []
  const isField = (field: unknown): field is string | null => field === null || typeof field === 'string'
  if (fields.length !== count || !fields.every(isField)) throw new BadAnswer('HMGET was answered in another form')
  return fields
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

/** Has the connection made anew. While it is being made that would end it for good. */
export function hangUp(client: Redis): void {
  if (client.status === 'ready') client.disconnect(true)
}

/** Reports a connection that comes and goes. @returns when it comes for the first time, and why there is none now, where that is known */
function announce(
  client: Redis | Cluster,
  log: Log,
  onConnection: (connected: boolean) => void,
  noteShortage: NoteShortage,
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
    if (isOwnShortage(error)) noteShortage('directory', `Redis cannot be connected to: ${cause}`)
    else if (cause !== said) log.error({ cause }, 'directory unavailable')
    said = cause
  })
  return { connected: new Promise((resolve) => client.once('ready', resolve)), lastCause: () => said }
}

/** ioredis tries a command on other nodes, waits for a topology, and counts its deadline anew each time: here is the one that counts. */
async function inCluster<T>(client: Cluster, timeoutMs: number, ask: () => Promise<T>): Promise<T> {
  if (client.status !== 'ready') throw new Error('not connected') // which `named` replaces by the cause
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
