/** The first commands of a connection to Redis, with the part of RESP that their replies need. */
import type { Socket } from 'node:net'
import { RedisFailure } from './errors.ts'

/** `text` of a bulk string may have several lines; the text of an error begins with its code. */
export type Reply = { kind: 'status' | 'error' | 'bulk'; text: string }

export type LoginStep = {
  words: readonly string[]
  /** @returns the fault of the reply, in words for the log; undefined to continue */
  check: (reply: Reply) => string | undefined
}

/** INFO of a large server takes about 8 KB. */
const MAX_REPLY_BYTES = 64 * 1024

/** Redis's longest error is a few hundred characters. */
const MAX_LINE_BYTES = 4096

export const mustBeOk = ({ kind, text }: Reply): string | undefined => {
  if (kind === 'status' && text === 'OK') return undefined
  return kind === 'error' ? text : 'no answer to the login'
}

export type LoginOptions = {
  isTls: boolean
  steps: readonly LoginStep[]
  /** for the connection, TLS and all steps; it starts with the first connection attempt, after the name lookup */
  timeoutMs: number
}

/** For the name lookup before that. glibc gives up on a dead name server after 10 seconds; the next attempt joins that lookup. */
const LOOKUP_TIMEOUT_MS = 5000

/**
 * Runs the steps in order on a socket that is being connected.
 * @returns `promise` resolves when the socket is ready for other commands. After a failure the socket is destroyed, and the promise
 *   rejects. `abort` ends the login; it has no effect after that.
 */
export function logIn(
  socket: Socket,
  { isTls, steps, timeoutMs }: LoginOptions,
): { promise: Promise<void>; abort: () => void } {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>()
  const ready = isTls ? 'secureConnect' : 'connect'
  const left = [...steps]
  let bytes = Buffer.alloc(0)
  let over = false
  const unresolved = (): void => end(new RedisFailure(`resolver: no answer in ${LOOKUP_TIMEOUT_MS} ms`))
  let timer = setTimeout(unresolved, LOOKUP_TIMEOUT_MS)

  function end(error?: Error): void {
    if (over) return
    over = true
    clearTimeout(timer)
    socket
      .off(ready, begin)
      .off('data', read)
      .off('close', closed)
      .off('end', closed)
      .off('connectionAttempt', startTimer)
    if (!error) return resolve(undefined)
    socket.destroy()
    reject(error)
  }
  const closed = (): void => end(new RedisFailure('closed during the login'))
  function startTimer(): void {
    socket.off('connectionAttempt', startTimer) // one timer for all addresses of a name
    clearTimeout(timer)
    const late = (): void => end(Object.assign(new Error(`no login in ${timeoutMs} ms`), { code: 'ETIMEDOUT' }))
    timer = setTimeout(late, timeoutMs)
  }

  function begin(): void {
    socket.setNoDelay(true)
    socket.on('data', read)
    next()
  }
  function next(): void {
    if (bytes.length > 0) return end(new RedisFailure('no answer to the login')) // a reply without a command
    const [step] = left
    if (step) {
      socket.write(encode(step.words))
      return
    }
    socket.pause() // ioredis resumes it
    end()
  }
  function read(more: Buffer): void {
    bytes = Buffer.concat([bytes, more])
    const parsed = parse(bytes)
    if (parsed === 'incomplete' && bytes.length <= MAX_REPLY_BYTES) return
    if (typeof parsed === 'string') return end(new RedisFailure('no answer to the login'))
    bytes = bytes.subarray(parsed.length)
    const problem = left.shift()?.check(parsed.reply)
    if (problem !== undefined) end(new RedisFailure(problem.slice(0, 400)))
    else next()
  }
  // Never removed: ioredis adds its own listener only in the next turn of the event loop.
  socket.on('error', end)
  socket.on('close', closed).on('end', closed)
  socket.on('connectionAttempt', startTimer)
  socket.once(ready, begin)
  return { promise, abort: closed }
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

const KINDS: Readonly<Record<string, Reply['kind']>> = { '+': 'status', '-': 'error', $: 'bulk' }

/** Exported for its tests. @returns the first reply and its length in bytes */
export function parse(bytes: Buffer): { reply: Reply; length: number } | 'incomplete' | 'odd' {
  const kind = KINDS[bytes.toString('latin1', 0, 1)]
  if (!kind) return bytes.length === 0 ? 'incomplete' : 'odd'
  const lineEnd = bytes.indexOf('\r\n')
  if (lineEnd === -1) return bytes.length > MAX_LINE_BYTES ? 'odd' : 'incomplete'
  const text = bytes.toString('utf8', 1, lineEnd)
  if (kind !== 'bulk') return { reply: { kind, text }, length: lineEnd + 2 }
  if (!/^\d{1,6}$/u.test(text)) return 'odd'
  const [from, to] = [lineEnd + 2, lineEnd + 2 + Number(text)]
  if (bytes.length < to + 2) return 'incomplete'
  if (bytes.toString('latin1', to, to + 2) !== '\r\n') return 'odd'
  return { reply: { kind, text: bytes.toString('utf8', from, to) }, length: to + 2 }
}
