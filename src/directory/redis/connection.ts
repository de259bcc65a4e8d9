/** Connections to Redis: the one place that makes them, with the settings under which a lookup fails fast. */
import { Cluster, Command, Redis, type RedisOptions } from 'ioredis'
import type { Endpoint, RedisSettings } from '../../config/settings.ts'
import { checkClusterAnswer, isBadRedirection } from './slots.ts'
import { CONNECT_TIMEOUT_MS, createConnectorClass, createSentinelConnectorClass, tlsOptions } from './connector.ts'

/** What tells the connections apart; as in ioredis. */
type ConnectionOptions = Pick<RedisOptions, 'protocol' | 'socketTimeout' | 'enableAutoPipelining' | 'autoResubscribe'>

/** Asked for each connection: passwords and keys of the settings may have changed. */
export type CurrentSettings = () => RedisSettings

export type Connection<Client> = {
  /** The caller listens to `error`. */
  client: Client
  close: () => void
}

/** A connection that has lasted so long is made anew at once when it is lost; one that ends sooner waits, or would be made in a loop. */
const LASTING_MS = 1000
/** How often a Cluster is asked which node holds what; a node that has lost its slots says so itself to whoever asks it. */
const TOPOLOGY_EVERY_MS = 2000
/** While a Cluster elects a new master its keys have nobody; asked again so often, within the lookup's own deadline. */
const FAILOVER_RETRY_MS = 50

/**
 * Connects in the background, again and again: to the one Redis, to the master that Sentinels name, or to `node` of a Cluster.
 * @param node needed for a Cluster, and for nothing else
 * @param current the same settings, with the passwords and keys of now
 */
export function connectRedis(
  settings: RedisSettings,
  options: ConnectionOptions,
  node?: Endpoint,
  current: CurrentSettings = () => settings,
): Connection<Redis> {
  // Attempts since the last connection that lasted; how long that was is told by when it was ready.
  let attempts = 0
  let readyAtMs: number | undefined
  function nextPauseMs(): number {
    const lasted = readyAtMs !== undefined && performance.now() - readyAtMs >= LASTING_MS
    readyAtMs = undefined
    attempts = lasted ? 0 : attempts + 1
    return lasted ? 0 : backOff(attempts)
  }
  const client = new Redis({
    ...commonOptions(settings),
    ...placeOf(settings, node),
    Connector:
      settings.servers.kind === 'sentinels' ? createSentinelConnectorClass(current) : createConnectorClass(current),
    // What cannot be answered now is refused now: clients are told to come back, and no queue builds up behind an outage.
    enableOfflineQueue: false,
    retryStrategy: nextPauseMs,
    ...options,
  })
  let closed = false
  let revival: NodeJS.Timeout | undefined
  client.on('ready', () => {
    readyAtMs = performance.now()
  })
  // ioredis's client ends for good where the connector fails, and where it is hung up on while it dials.
  client.on('end', () => {
    if (!closed) revival = setTimeout(() => void client.connect().catch(() => undefined), nextPauseMs())
  })
  return {
    client,
    close() {
      closed = true
      clearTimeout(revival)
      client.disconnect()
    },
  }
}

/** Connects to a Cluster, in the background. It has no deadline of its own over all that it does for one command. */
export function connectCluster(
  settings: RedisSettings,
  socketTimeout: number,
  current: CurrentSettings = () => settings,
): Connection<Cluster> {
  const { servers } = settings
  if (servers.kind !== 'cluster') throw new Error('not a Cluster')
  // ioredis takes the form of the slots for granted, in a callback whose exception nothing catches.
  Command.setReplyTransformer('cluster', checkClusterAnswer)
  const client = new Cluster([...servers.nodes], {
    enableOfflineQueue: false,
    // Not pipelined: there ioredis sends a whole pipeline again where one of its keys has moved, and fails the others.
    enableAutoPipelining: false,
    clusterRetryStrategy: backOff,
    retryDelayOnFailover: FAILOVER_RETRY_MS,
    retryDelayOnClusterDown: 0, // it stays down for longer than anybody waits
    slotsRefreshInterval: TOPOLOGY_EVERY_MS,
    slotsRefreshTimeout: settings.timeoutMs,
    // Left as they are: looked up when dialled, and TLS has a name to hold the certificate against.
    dnsLookup: (name, found) => found(null, name),
    redisOptions: {
      ...commonOptions(settings),
      Connector: createConnectorClass(current),
      socketTimeout,
    },
  })
  return { client, close: () => client.disconnect() }
}

/** Neither a user, a password, a key nor a database is among them: the connector sees to those. */
function commonOptions({ timeoutMs }: RedisSettings) {
  return {
    enableReadyCheck: false, // the connector asks INFO
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: timeoutMs,
    connectTimeout: CONNECT_TIMEOUT_MS, // of the connections to Sentinels; the others are dialled by the connector
    disableClientInfo: true, // CLIENT SETINFO is a right more that a user of Redis would need
    disconnectTimeout: timeoutMs, // what has hung answers no goodbye either
    reconnectOnError(error: Error) {
      // ioredis reads the place out of a redirection with no regard to its form. It asks this first, and goes by the text afterwards.
      if (isBadRedirection(error.message)) error.message = 'ERR redirection in another form'
      // A master that was demoted still reads; writing to it is what tells. Nothing is sent twice, as there is no queue.
      return error.message.startsWith('READONLY')
    },
  } satisfies RedisOptions
}

function placeOf(settings: RedisSettings, node: Endpoint | undefined): Omit<RedisOptions, 'replyMapping'> {
  const { servers, tls, timeoutMs } = settings
  if (node) return { ...node }
  switch (servers.kind) {
    case 'single':
      return { ...servers.server }
    case 'sentinels':
      return {
        name: servers.name,
        sentinels: [...servers.addresses],
        ...(tls && { enableTLSForSentinelMode: true, tls: tlsOptions(settings) }),
        sentinelCommandTimeout: timeoutMs,
        sentinelRetryStrategy: backOff,
        // Without it the old master is asked on for as long as it lives.
        failoverDetector: true,
      }
    case 'cluster':
      throw new Error('a Cluster is asked by its own client, or node by node')
  }
}

/** A herd of instances must not come back in one moment to a Redis that was away. */
function backOff(attempt: number): number {
  return Math.min(50 * 2 ** attempt, 2000) + Math.floor(Math.random() * 200)
}
