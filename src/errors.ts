/**
 * One shape for everything that can go wrong: what, on whose side, and whether it is worth trying again.
 * Each protocol turns a code into wire text in one exhaustive switch (`replies.ts`); docs/errors.md explains each to operators.
 */

/** The side that caused it: the mail client, the back end (or the directory), or mailmux itself. */
export type Side = 'client' | 'backend' | 'directory' | 'self'

/** Every code, its side, and whether a later attempt may succeed without a change by an operator. */
export const ERRORS = {
  'client-closed': { side: 'client', retryable: false },
  'client-reset': { side: 'client', retryable: false },
  'client-line-too-long': { side: 'client', retryable: false },
  'client-literal-too-large': { side: 'client', retryable: false },
  'client-too-many-bad-commands': { side: 'client', retryable: false },
  'client-too-many-wrong-passwords': { side: 'client', retryable: false },
  'client-refused': { side: 'client', retryable: false },
  'client-login-timeout': { side: 'client', retryable: false },
  'client-not-trusted': { side: 'client', retryable: false },
  'client-denied': { side: 'client', retryable: false },
  'client-over-limit': { side: 'client', retryable: true },
  'client-proxy-header': { side: 'client', retryable: false },
  'client-no-such-name': { side: 'client', retryable: false },
  'client-http': { side: 'client', retryable: false },
  'client-unauthenticate': { side: 'client', retryable: false },
  'client-ambiguous': { side: 'client', retryable: false },
  'client-tls-failed': { side: 'client', retryable: false },
  'client-bytes-before-tls': { side: 'client', retryable: false },
  'backend-refused': { side: 'backend', retryable: true },
  'backend-unreachable': { side: 'backend', retryable: true },
  'backend-timeout': { side: 'backend', retryable: true },
  'backend-closed': { side: 'backend', retryable: true },
  'backend-garbage': { side: 'backend', retryable: true },
  'backend-bye': { side: 'backend', retryable: true },
  'backend-unavailable': { side: 'backend', retryable: true },
  'backend-down': { side: 'backend', retryable: true },
  'backend-paused': { side: 'backend', retryable: true },
  'backend-drained': { side: 'backend', retryable: true },
  'backend-busy': { side: 'backend', retryable: true },
  'backend-test-user': { side: 'backend', retryable: false },
  'backend-tls-failed': { side: 'backend', retryable: true },
  'backend-certificate': { side: 'backend', retryable: false },
  'backend-no-starttls': { side: 'backend', retryable: false },
  'backend-bytes-before-tls': { side: 'backend', retryable: false },
  'backend-no-mechanism': { side: 'backend', retryable: false },
  'proxy-loop': { side: 'self', retryable: false },
  'no-master': { side: 'self', retryable: false },
  'backend-no-port': { side: 'self', retryable: false },
  'user-on-hold': { side: 'directory', retryable: true },
  'directory-unavailable': { side: 'directory', retryable: true },
  'route-invalid': { side: 'directory', retryable: false },
  'shutting-down': { side: 'self', retryable: true },
  moved: { side: 'self', retryable: true },
  drained: { side: 'self', retryable: true },
  rebalanced: { side: 'self', retryable: true },
  kicked: { side: 'self', retryable: true },
  disabled: { side: 'self', retryable: false },
  'too-many-connections': { side: 'self', retryable: true },
  'local-shortage': { side: 'self', retryable: true },
  internal: { side: 'self', retryable: false },
} as const satisfies Record<string, { side: Side; retryable: boolean }>

export type ErrorCode = keyof typeof ERRORS

/** An expected failure. `message` is for the log and never reaches a mail client. */
export class MuxError extends Error {
  readonly code: ErrorCode
  readonly side: Side
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'MuxError'
    this.code = code
    this.side = ERRORS[code].side
    this.retryable = ERRORS[code].retryable
  }
}

/** Whether something thrown is the expected failure of this code. */
export function hasCode(error: unknown, code: ErrorCode): error is MuxError {
  return error instanceof MuxError && error.code === code
}

/** Anything thrown, as a MuxError: what is not one already is a defect of ours and becomes `internal`. */
export function asMuxError(error: unknown): MuxError {
  if (error instanceof MuxError) return error
  return new MuxError('internal', error instanceof Error ? error.message : String(error), error)
}

/** The system's error code (`ECONNREFUSED`, `EADDRINUSE` ...) of something thrown, or its message where it has none. */
export function systemCode(error: unknown): string {
  if (error instanceof Error) return 'code' in error && typeof error.code === 'string' ? error.code : error.message
  return String(error)
}

/**
 * What the system says when this machine or process has no descriptor, memory or local port left for one more socket or file.
 * EADDRNOTAVAIL of a connect means that every local port towards that address is in use. The last two are Node's code and V8's message
 * for memory that is missing; V8 gives its error no code.
 */
const SHORTAGES = new Set([
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EADDRNOTAVAIL',
  'ERR_MEMORY_ALLOCATION_FAILED',
  'Array buffer allocation failed',
])

/** @param error something thrown, or its system code. @returns whether a resource of this machine has run out, which is no fault of a peer */
export function isShortage(error: unknown): boolean {
  return SHORTAGES.has(systemCode(error))
}

/**
 * For a `catch` that would attribute the error to what was read.
 * @param what could not be done; the message continues with the system's code
 * @throws MuxError `local-shortage` if the error is one, or says that a resource of this machine has run out
 */
export function rethrowShortage(error: unknown, what: string): void {
  if (hasCode(error, 'local-shortage')) throw error
  if (isShortage(error)) throw new MuxError('local-shortage', `${what}: ${systemCode(error)}`, error)
}

/** What could not be done. A closed set: it is a label of a metric. */
export const SHORTAGE_PLACES = [
  'accept',
  'backend',
  'check',
  'lookup',
  'directory',
  'snapshot',
  'configuration',
] as const
export type ShortagePlace = (typeof SHORTAGE_PLACES)[number]

/** Logs and counts that a resource of this machine has run out (`resources/shortages.ts`). `detail` has the system's code. */
export type NoteShortage = (place: ShortagePlace, detail: string) => void
