/**
 * Dials Redis for ioredis, and logs in before ioredis gets the socket. ioredis itself continues in database 0 when SELECT fails, and
 * without a login when AUTH fails with certain texts, which it also writes to stderr. Here any failure ends the connection.
 */
import { connect as dialTcp, type NetConnectOpts } from 'node:net'
import { connect as dialTls, type ConnectionOptions } from 'node:tls'
import { AbstractConnector, Redis, SentinelConnector, type RedisOptions, type SentinelConnectionOptions } from 'ioredis'
import type { RedisSettings } from '../../config/settings.ts'
import type { Secret } from '../../secret.ts'
import { createJoinedLookup } from '../joined-lookup.ts'
import { logIn, mustBeOk, type LoginStep, type Reply } from './login.ts'

type Stream = Awaited<ReturnType<AbstractConnector['connect']>>
type Emit = Parameters<AbstractConnector['connect']>[0]

/** The interface of ioredis: it creates one connector for each client, with the options of that client. */
type ConnectorClass = NonNullable<RedisOptions['Connector']>

/** Limit from the first attempt at an address, for the connection and the login. A hung host may still accept connections. */
export const CONNECT_TIMEOUT_MS = 2000

/**
 * @param settings called for each connection, because passwords and keys may have changed
 * @returns a connector to the address in the options of a client: a single Redis or a node of a Cluster
 */
export function createConnectorClass(settings: () => RedisSettings): ConnectorClass {
  return createDialler(
    () => serverSteps(settings(), false),
    () => tlsOptions(settings()),
  )
}

/** Like `createConnectorClass`, for the master that Sentinels name. */
export function createSentinelConnectorClass(settings: () => RedisSettings): ConnectorClass {
  const ofSentinel = createDialler(
    () => sentinelSteps(settings()),
    () => tlsOptions(settings()),
  )
  return class extends SentinelConnector {
    #abort: (() => void) | undefined

    constructor(options: unknown) {
      super(options as SentinelConnectionOptions)
      // The clients that SentinelConnector creates for the Sentinels get the same connector, and a listener for their errors:
      // without a listener ioredis writes each error to stderr.
      const connectToSentinel: unknown = Reflect.get(this, 'connectToSentinel')
      if (typeof connectToSentinel !== 'function') throw new Error('another version of ioredis')
      Reflect.set(this, 'connectToSentinel', (endpoint: unknown, more?: object): unknown => {
        const own = { Connector: ofSentinel, enableReadyCheck: false, disableClientInfo: true }
        const client: unknown = Reflect.apply(connectToSentinel, this, [endpoint, { ...more, ...own }])
        if (client instanceof Redis) client.on('error', ignore)
        return client
      })
    }

    override async connect(emit: Emit): Promise<Stream> {
      this.options.tls = tlsOptions(settings())
      const stream = await super.connect(emit)
      const isTls = settings().tls !== undefined
      const steps = serverSteps(settings(), true)
      const { promise, abort } = logIn(stream, { isTls, steps, timeoutMs: CONNECT_TIMEOUT_MS })
      this.#abort = abort
      await promise
      return stream
    }

    override disconnect(): void {
      this.#abort?.()
      super.disconnect()
    }
  }
}

function createDialler(steps: () => LoginStep[], tls: () => ConnectionOptions | undefined): ConnectorClass {
  const lookup = createJoinedLookup()
  return class extends AbstractConnector {
    readonly #options: RedisOptions
    #abort: (() => void) | undefined

    constructor(options: unknown) {
      const own = options as RedisOptions
      super(own.disconnectTimeout ?? CONNECT_TIMEOUT_MS)
      this.#options = own
    }

    override async connect(): Promise<Stream> {
      this.connecting = true
      const { host = '', port = 0 } = this.#options
      const place: NetConnectOpts = { host, port, lookup }
      const secure = tls()
      const stream = secure ? dialTls({ ...place, ...secure } satisfies ConnectionOptions) : dialTcp(place)
      this.stream = stream
      const isTls = secure !== undefined
      const { promise, abort } = logIn(stream, { isTls, steps: steps(), timeoutMs: CONNECT_TIMEOUT_MS })
      this.#abort = abort
      await promise
      return stream
    }

    override disconnect(): void {
      this.#abort?.()
      super.disconnect()
    }
  }
}

export function tlsOptions({ tls }: RedisSettings): ConnectionOptions | undefined {
  if (!tls) return undefined
  const { ca, clientCertificate, serverName } = tls
  return {
    ...(ca !== undefined && { ca }),
    ...(clientCertificate && { cert: clientCertificate.cert, key: clientCertificate.key.reveal() }),
    ...(serverName !== undefined && { servername: serverName }),
  }
}

/** The reply to AUTH and SELECT must be +OK, and INFO must show a server that can answer. */
function serverSteps({ servers, username, password }: RedisSettings, mustBeMaster: boolean): LoginStep[] {
  const database = servers.kind === 'single' ? servers.database : 0
  return [
    ...authSteps(username, password),
    // A new connection is in database 0, where a Redis user does not need the right to SELECT.
    ...(database === 0 ? [] : [{ words: ['SELECT', String(database)], check: mustBeOk }]),
    { words: ['INFO'], check: (reply) => checkInfo(reply, mustBeMaster) },
  ]
}

function sentinelSteps({ servers }: RedisSettings): LoginStep[] {
  return servers.kind === 'sentinels' ? authSteps(servers.username, servers.password) : []
}

function authSteps(username: string | undefined, password: Secret | undefined): LoginStep[] {
  if (!password) return []
  const words = ['AUTH', ...(username === undefined ? [] : [username]), password.reveal()]
  return [{ words, check: mustBeOk }]
}

/** Replaces the "ready check" of ioredis, which writes to stderr if the Redis user lacks the right to INFO. */
function checkInfo({ kind, text }: Reply, mustBeMaster: boolean): string | undefined {
  if (kind === 'error') return text.startsWith('NOPERM') ? undefined : text
  if (kind !== 'bulk') return 'no answer to the login'
  if (/^loading:1\r?$/mu.test(text)) return 'LOADING Redis is loading the dataset in memory'
  return mustBeMaster && /^role:slave\r?$/mu.test(text) ? 'the Sentinels name a replica' : undefined
}

const ignore = (): void => undefined
