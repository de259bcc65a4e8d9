/** A Redis that is played by a script: a few lines of RESP, and answers of our choice. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { RedisSettings } from '../../../src/config/settings.ts'
import type { Log } from '../../../src/log.ts'
import { growList, until } from './waiting.ts'

export const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** Which of mailmux's two connections asks: the one for lookups says HELLO, in RESP3, the one for changes does not. */
export type Asker = 'lookups' | 'changes'

/** The answer on the wire; undefined: none ever. */
export type Answers = (command: readonly string[], asker: Asker) => string | undefined

export type ScriptedRedis = {
  settings: RedisSettings
  /** every command so far, as `changes: ping`, the words of a command in one line */
  asked: readonly string[]
  /** Waits until `count` commands like this have come. */
  heard: (command: RegExp, count?: number) => Promise<void>
  /** Tells of changed keys; null: all. */
  push: (keys: readonly string[] | null) => void
  /** Sends a text on the channel of the changes, as PUBLISH of any client does. */
  publish: (text: string) => void
  /** Sends a message on a channel to each connection. */
  tell: (channel: string, text: string) => void
  hangUp: (asker: Asker) => void
}

/** @param answers asked first; what it leaves undefined by `PASS` is answered as a sound Redis would */
export async function startScriptedRedis(t: TestContext, answers: Answers): Promise<ScriptedRedis> {
  const trace = growList<string>()
  const sockets = new Map<Socket, Asker>()
  const server = createServer((socket) => {
    sockets.set(socket, 'changes')
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (bytes) => {
      for (const command of commandsIn(bytes.toString())) {
        if (command[0] === 'hello') sockets.set(socket, 'lookups')
        const asker = sockets.get(socket) ?? 'changes'
        trace.add(`${asker}: ${command.join(' ')}`)
        const answer = answers(command, asker)
        const text = answer === PASS ? usual(command, asker) : answer
        if (text !== undefined) socket.write(text)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets.keys()) socket.destroy()
    server.close()
  })
  const each = (asker: Asker, act: (socket: Socket) => void): void => {
    for (const [socket, its] of sockets) if (its === asker) act(socket)
  }
  return {
    settings: {
      kind: 'redis',
      servers: {
        kind: 'single',
        server: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
        database: 0,
      },
      username: undefined,
      password: undefined,
      tls: undefined,
      prefix: 'mailmux:',
      timeoutMs: 200,
      cache: { maxEntries: 10, lifetimeMs: 60_000, negativeLifetimeMs: 60_000, maxStaleMs: 60_000 },
      snapshotFile: undefined,
      snapshotSlot: 1,
    },
    asked: trace.all,
    heard: (command, count = 1) =>
      until(
        trace,
        (all) => all.filter((one) => command.test(one)).length >= count,
        `${String(command)} ${count} times`,
      ),
    push: (keys) => each('changes', (socket) => socket.write(message(keys))),
    publish: (text) => each('changes', (socket) => socket.write(list(bulk('message'), bulk(CHANNEL), bulk(text)))),
    tell: (channel, text) => {
      for (const [socket, asker] of sockets) {
        const type = asker === 'lookups' ? '>' : '*' // RESP3 has a type of its own for messages
        socket.write(list(bulk('message'), bulk(channel), bulk(text)).replace('*', type))
      }
    },
    hangUp: (asker) => each(asker, (socket) => socket.destroy()),
  }
}

/** For tests in which each command has an answer: a machine under load has held up one for more than the 200 ms of others. */
export const AMPLE_MS = 2000

/** What a script says of a command that it leaves to the usual answers. */
export const PASS = 'pass'

export const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
export const list = (...parts: string[]): string => `*${parts.length}\r\n${parts.join('')}`
/** Bulk strings in an array, as HMGET answers. */
export const fields = (...values: (string | null)[]): string =>
  list(...values.map((value) => (value === null ? '$-1\r\n' : bulk(value))))
/** The answer to HMGET of a hash that holds these fields. */
export const hash = ([, , ...names]: readonly string[], held: Readonly<Record<string, string>>): string =>
  fields(...names.map((name) => held[name] ?? null))
export const info = (runId: string, role: string): string => bulk(`run_id:${runId}\r\nrole:${role}\r\n`)

const CHANNEL = '__redis__:invalidate'

function message(keys: readonly string[] | null): string {
  return list(bulk('message'), bulk(CHANNEL), keys === null ? '*-1\r\n' : list(...keys.map(bulk)))
}

function usual([name = '', word = '']: readonly string[], asker: Asker): string {
  if (name === 'hmget' && word === 'mailmux:marker') return fields('id-of-the-marker', null, null, 'id-of-the-marker')
  if (name === 'hmget' && word.startsWith('mailmux:backend:')) return fields(null, null, null)
  if (name === 'exists') return ':0\r\n'
  if (name === 'hset' || name === 'hsetnx') return ':1\r\n'
  if (name === 'info') return info('one', 'master')
  if (name === 'client' && word === 'ID') return ':7\r\n'
  if (name === 'subscribe') return list(bulk('subscribe'), bulk(CHANNEL), ':1\r\n')
  if (name === 'ping') return asker === 'changes' ? list(bulk('pong'), bulk('')) : '+PONG\r\n'
  return '+OK\r\n'
}

/** Commands as arrays of words, the first in lower case; each arrives in one piece over loopback. */
function commandsIn(text: string): string[][] {
  const commands: string[][] = []
  for (const line of text.split('\r\n')) {
    if (line.startsWith('*')) commands.push([])
    else if (line !== '' && !line.startsWith('$')) {
      const command = commands.at(-1)
      command?.push(command.length === 0 ? line.toLowerCase() : line)
    }
  }
  return commands
}
