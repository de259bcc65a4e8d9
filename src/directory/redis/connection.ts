/** Connections to Redis. Only this file creates them, with settings by which a lookup fails fast. */
import { Cluster, Command, Redis, type RedisOptions } from 'ioredis'
import type { Endpoint, RedisSettings } from '../../config/settings.ts'
import { checkClusterAnswer, isBadRedirection } from './slots.ts'
import { CONNECT_TIMEOUT_MS, createConnectorClass, createSentinelConnectorClass, tlsOptions } from './connector.ts'

/** The options that differ between connections; as in ioredis. */
type ConnectionOptions = Pick<
  RedisOptions,
  'protocol' | 'socketTimeout' | 'enableAutoPipelining' | 'autoResubscribe'
> & {
  /** No timer for each command: `socketTimeout` ends the wait for a server that hangs. */
  isBulk?: true
}

/** Called for each connection, because passwords and keys may have changed. */
export type CurrentSettings = () => RedisSettings

export type Connection<Client> = {
  /** The caller must listen to `error`. */
  client: Client
  close: () => void
}

/** A connection that lasted this long is replaced immediately; after a shorter one there is a pause, against a busy loop. */
const LASTING_MS = 1000
/** Interval of the topology queries to a Cluster. Between them a node that has lost its slots redirects the command. */
const TOPOLOGY_EVERY_MS = 2000
/** Interval of retries while a Cluster elects a new master, within the deadline of the lookup. */
const FAILOVER_RETRY_MS = 50

/**
 * Connects in the background, again and again: to the one Redis, to the master that Sentinels name, or to `node` of a Cluster.
 * @param node for a Cluster only
 * @param current the same settings with the current passwords and keys
 */
export function connectRedis(
  settings: RedisSettings,
  { isBulk, ...options }: ConnectionOptions,
  node?: Endpoint,
  current: CurrentSettings = () => settings,
): Connection<Redis> {
  // Attempts since the last connection that lasted, which is measured from its `ready`.
  let attempts = 0
  let readyAtMs: number | undefined
  function nextPauseMs(): number {
    const lasted = readyAtMs !== undefined && performance.now() - readyAtMs >= LASTING_MS
    readyAtMs = undefined
    attempts = lasted ? 0 : attempts + 1
    return lasted ? 0 : backOff(attempts)
  }
  const { commandTimeout, ...common } = commonOptions(settings)
  const client = new Redis({
    ...common,
    ...(!isBulk && { commandTimeout }),
    ...placeOf(settings, node),
    Connector:
      settings.servers.kind === 'sentinels' ? createSentinelConnectorClass(current) : createConnectorClass(current),
    // A command without a connection fails immediately, so that no queue grows during an outage. The client gets a temporary failure.
    enableOfflineQueue: false,
    retryStrategy: nextPauseMs,
    ...options,
  })
  let closed = false
  let revival: NodeJS.Timeout | undefined
  client.on('ready', () => {
    readyAtMs = performance.now()
  })
  // A client of ioredis ends for good if the connector fails, and if it is disconnected while it dials.
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

/** Connects to a Cluster in the background. It has no deadline over all that it does for one command. */
export function connectCluster(
  settings: RedisSettings,
  socketTimeout: number,
  current: CurrentSettings = () => settings,
): Connection<Cluster> {
  const { servers } = settings
  if (servers.kind !== 'cluster') throw new Error('not a Cluster')
  // ioredis does not check the form of the slots, and an exception in its callback would end the process.
  Command.setReplyTransformer('cluster', checkClusterAnswer)
  const client = new Cluster([...servers.nodes], {
    enableOfflineQueue: false,
    // Not pipelined: if one key of a pipeline has moved, ioredis sends the whole pipeline again and fails the other commands.
    enableAutoPipelining: false,
    clusterRetryStrategy: backOff,
    retryDelayOnFailover: FAILOVER_RETRY_MS,
    retryDelayOnClusterDown: 0, // a Cluster stays down for longer than a lookup may take
    slotsRefreshInterval: TOPOLOGY_EVERY_MS,
    slotsRefreshTimeout: settings.timeoutMs,
    // Names stay names: the connector resolves them, and TLS checks the certificate against them.
    dnsLookup: (name, found) => found(null, name),
    redisOptions: {
      ...commonOptions(settings),
      Connector: createConnectorClass(current),
      socketTimeout,
    },
  })
  return { client, close: () => client.disconnect() }
}

/** Without user, password, keys and database, which the connector uses. */
function commonOptions({ timeoutMs }: RedisSettings) {
  return {
    enableReadyCheck: false, // the connector sends INFO
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: timeoutMs,
    connectTimeout: CONNECT_TIMEOUT_MS, // of the connections to Sentinels; the others are dialled by the connector
    disableClientInfo: true, // CLIENT SETINFO would need one more right of the Redis user
    disconnectTimeout: timeoutMs, // a hung server does not answer the end of the connection
    reconnectOnError(error: Error) {
      // ioredis does not check the form of a redirection. It calls this function first, and then reads the text.
      if (isBadRedirection(error.message)) error.message = 'ERR redirection in another form'
      // A demoted master still answers reads; only a write shows it. No command is sent twice, because there is no queue.
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
        // Without it the client keeps using the old master as long as that runs.
        failoverDetector: true,
      }
    case 'cluster':
      throw new Error('a Cluster is asked by its own client, or node by node')
  }
}

/** With jitter: many instances must not reconnect at one moment after an outage. */
function backOff(attempt: number): number {
  return Math.min(50 * 2 ** attempt, 2000) + Math.floor(Math.random() * 200)
}
