/**
 * Dials Redis for ioredis, and logs in before ioredis sees the socket. ioredis itself goes on in database 0 when SELECT
 * fails, and without a login when AUTH fails in certain words; here either failure ends the connection.
 */
import { connect as dialTcp, type NetConnectOpts } from 'node:net'
import { connect as dialTls, type ConnectionOptions } from 'node:tls'
import { AbstractConnector, SentinelConnector, type RedisOptions, type SentinelConnectionOptions } from 'ioredis'
import type { RedisSettings } from '../config/settings.ts'

type Stream = Awaited<ReturnType<AbstractConnector['connect']>>

/** As ioredis wants it: it makes one for each client, and hands in the options of that client. */
type ConnectorClass = NonNullable<RedisOptions['Connector']>

/** Without a line break for so long an answer is not one of Redis's. */
const MAX_ANSWER_BYTES = 4096

/**
 * @param connectTimeoutMs for the socket, its TLS and the login together
 * @returns what connects to the address in the options of a client, be it of one Redis or of a node of a Cluster
 */
export function createConnectorClass(settings: RedisSettings, connectTimeoutMs: number): ConnectorClass {
  return class extends AbstractConnector {
    readonly #options: RedisOptions
    #abort: (() => void) | undefined

    constructor(options: unknown) {
      const own = options as RedisOptions
      super(own.disconnectTimeout ?? connectTimeoutMs)
      this.#options = own
    }

    override async connect(): Promise<Stream> {
      this.connecting = true
      const { host = '', port = 0, tls } = this.#options
      const place: NetConnectOpts = { host, port }
      this.stream = tls ? dialTls({ ...place, ...tls } satisfies ConnectionOptions) : dialTcp(place)
      const { promise, abort } = logIn(this.stream, { isTls: tls !== undefined, settings, connectTimeoutMs })
      this.#abort = abort
      return promise
    }

    override disconnect(): void {
      this.#abort?.()
      super.disconnect()
    }
  }
}

/** As `createConnectorClass`, for the master that Sentinels name. */
export function createSentinelConnectorClass(settings: RedisSettings, connectTimeoutMs: number): ConnectorClass {
  return class extends SentinelConnector {
    #abort: (() => void) | undefined

    constructor(options: unknown) {
      super(options as SentinelConnectionOptions)
    }

    override async connect(emit: (type: string, error: Error) => void): Promise<Stream> {
      const stream = await super.connect(emit)
      const isTls = settings.tls !== undefined
      const { promise, abort } = logIn(stream, { isTls, settings, connectTimeoutMs })
      this.#abort = abort
      return promise
    }

    /** @param info of INFO; ioredis hands on whatever the server has sent */
    override check(info: unknown): boolean {
      return typeof info === 'object' && info !== null && super.check(info)
    }

    override disconnect(): void {
      this.#abort?.()
      super.disconnect()
    }
  }
}

/** The words of the login, in order; each is answered by +OK or the connection is of no use. */
function loginCommands({ servers, username, password }: RedisSettings): string[][] {
  const commands: string[][] = []
  if (password) commands.push(['AUTH', ...(username === undefined ? [] : [username]), password.reveal()])
  // A new connection is in database 0: a user of Redis without the right to SELECT can work there.
  if (servers.kind === 'single' && servers.database !== 0) commands.push(['SELECT', String(servers.database)])
  return commands
}

function encode(command: readonly string[]): string {
  return `*${command.length}\r\n${command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

/** @returns `promise`: the same socket, ready for commands; `abort` ends it before that, and does nothing after. */
function logIn(
  stream: Stream,
  { isTls, settings, connectTimeoutMs }: { isTls: boolean; settings: RedisSettings; connectTimeoutMs: number },
): { promise: Promise<Stream>; abort: () => void } {
  const { promise, resolve, reject } = Promise.withResolvers<Stream>()
  const commands = loginCommands(settings)
  let answers = ''
  let over = false

  function end(error: Error | undefined): void {
    if (over) return
    over = true
    clearTimeout(timer)
    stream
      .off(isTls ? 'secureConnect' : 'connect', begin)
      .off('data', read)
      .off('close', closed)
      .off('end', closed)
    if (!error) return resolve(stream)
    stream.destroy()
    reject(error)
  }
  const closed = (): void => end(new Error('Redis has closed the connection during the login'))
  const timer = setTimeout(() => {
    end(Object.assign(new Error(`no connection in ${connectTimeoutMs} ms`), { code: 'ETIMEDOUT' }))
  }, connectTimeoutMs)

  function begin(): void {
    stream.setNoDelay(true)
    if (commands.length === 0) return end(undefined)
    stream.on('data', read)
    stream.write(commands.map(encode).join(''))
  }
  function read(bytes: Buffer): void {
    answers += bytes.toString('latin1')
    const lines = answers.split('\r\n')
    const last = lines.pop()
    for (const line of lines.slice(0, commands.length)) if (line !== '+OK') return end(refusal(line))
    if (lines.length < commands.length && answers.length <= MAX_ANSWER_BYTES) return
    if (lines.length !== commands.length || last !== '') return end(new Error('Redis has sent no answer to the login'))
    stream.pause() // ioredis resumes it
    end(undefined)
  }
  // For the whole life of the socket: ioredis listens only from the next turn on.
  stream.on('error', end)
  stream.on('close', closed).on('end', closed)
  stream.once(isTls ? 'secureConnect' : 'connect', begin)
  return { promise, abort: closed }
}

/** What Redis says against the login, in its own words. */
function refusal(line: string): Error {
  return new Error(line.startsWith('-') ? line.slice(1, 400) : 'Redis has sent no answer to the login')
}
