/**
 * Errors of Redis, in the words of Redis or of the system. The messages of ioredis name its own options and queues, which an operator
 * does not know, and are replaced.
 */
import { isShortage } from '../../errors.ts'

/** An error with a message for the operator. */
export class RedisFailure extends Error {
  /** the message is Redis's reply to this command, not the cause of a missing connection */
  readonly isAnswer: boolean

  constructor(message: string, { isAnswer = false }: { isAnswer?: boolean } = {}) {
    super(message)
    this.isAnswer = isAnswer
  }

  /** Whether the same command may succeed later without a change by an operator. */
  get retryable(): boolean {
    return mayPass(this.message)
  }
}

/** Replies about rights, passwords, the type of a key and the command itself. Others, such as LOADING, READONLY and too many clients, pass. */
const PERMANENT = /(?:^|: )(?:NOPERM|NOAUTH|WRONGPASS|WRONGTYPE|ERR(?! max number of clients))\b/u

/** @param cause the message of Redis or of the system. @returns whether it may end without a change by an operator */
export function mayPass(cause: string): boolean {
  return !PERMANENT.test(cause)
}

/** A reply that Redis cannot give to this command. */
export class BadAnswer extends RedisFailure {
  override get retryable(): boolean {
    return false
  }
}

const NO_CONNECTION = 'no connection'
/** Bound of a server's message in the log. */
const MAX_WORDS = 400

/** Returns the same text for the same cause, so that each cause is logged once. */
export function causeOf(error: unknown): string {
  return wordsOf(error).slice(0, MAX_WORDS)
}

/** Whether a connection has failed because this machine lacks resources. ioredis wraps the error of a Sentinel or of a node. */
export function isOwnShortage(error: unknown): boolean {
  if (isShortage(error)) return true
  if (!(error instanceof Error)) return false
  if ('lastNodeError' in error) return isOwnShortage(error.lastNodeError)
  const code = /^All sentinels are unreachable.* Last error: (?:connect )?(?<code>E[A-Z]+)\b/u.exec(error.message)
  return code?.groups?.code !== undefined && isShortage(code.groups.code)
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return NO_CONNECTION
  if (error instanceof RedisFailure || isReply(error)) return error.message
  if ('code' in error && typeof error.code === 'string') {
    const isResolver = 'syscall' in error && error.syscall === 'getaddrinfo' && 'hostname' in error
    return isResolver ? `resolver: ${error.code} ${String(error.hostname)}` : error.code
  }
  if ('lastNodeError' in error) return wordsOf(error.lastNodeError)
  if (/timed out|^Socket timeout/u.test(error.message)) return 'no answer in time'
  if (error.message.startsWith('All sentinels are unreachable')) {
    const last = /Last error: (?<last>.*)$/u.exec(error.message)?.groups?.last
    return last === undefined || isOfIoredis(last) ? 'no Sentinel answers' : `no Sentinel answers: ${last}`
  }
  return NO_CONNECTION
}

/** @param lastCause the cause of the missing connection, if known */
export function toFailure(error: unknown, lastCause: string | undefined): RedisFailure {
  if (error instanceof RedisFailure) return error
  const cause = causeOf(error)
  const isAnswer = error instanceof Error && isReply(error)
  return new RedisFailure(cause === NO_CONNECTION ? (lastCause ?? cause) : cause, { isAnswer })
}

/** The Redis user lacks the right to the command, or the server is a replica, which accepts no writes. */
export function isForbidden(error: unknown): boolean {
  if (error instanceof RedisFailure && !error.isAnswer) return false
  return error instanceof Error && /^(?:NOPERM|READONLY)\b/u.test(error.message)
}

/** A reply of the server: its text begins with a code in capitals. */
function isReply({ name, message }: Error): boolean {
  return (name === 'ReplyError' || name === 'SimpleError' || name === 'BlobError') && /^[A-Z]+\b/u.test(message)
}

function isOfIoredis(message: string): boolean {
  return /^Connection is closed|^Command timed out|enableOfflineQueue|max retries per request/u.test(message)
}
