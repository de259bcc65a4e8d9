/**
 * The last refused logins of this process, for the question why a user cannot log in, and how many there were for each reason. It holds no
 * credential, and costs nothing for logins that are accepted. A flood of guesses displaces what came before it: the log has all of them.
 */
import { toEpochMs } from '../clock.ts'
import type { ProtocolName } from '../config/settings.ts'
import { octetsToPrintable, toPrintable } from '../printable.ts'
import type { Subscriber } from './events.ts'

/** Some hundred KiB at the longest names and details. */
export const MOST_REFUSALS = 300
/** Longer than nearly every name, as in the log. */
const MAX_ATTEMPTED = 128
const MAX_USER = 320
/** The words of a back end may be a line of kilobytes. */
const MAX_DETAIL = 200

/** What does not apply is absent. */
export type RefusalReport = {
  /** in milliseconds of the epoch */
  atMs: number
  session: string
  /** as the client sent it */
  attempted: string
  user?: string
  client: string
  listener: string
  protocol: ProtocolName
  mechanism: string
  backend?: string
  reason?: string
  code?: string
  detail: string
}

/** Since the start of the process; `reason` and `code` are from closed sets. */
export type RefusalCount = { reason?: string; code?: string; count: number }

/** Those of this user, or of those who gave this name; both undefined: all */
export type RefusalQuestion = { user?: string | undefined; attempted?: string | undefined; limit: number }

export type RefusalsTold = { refusals: RefusalReport[]; counts: RefusalCount[] }

export type RefusalRecord = {
  subscriber: Subscriber
  /** the newest first */
  list: (question: RefusalQuestion) => RefusalsTold
}

export function createRefusalRecord(most: number = MOST_REFUSALS): RefusalRecord {
  /** with `atMs` by the monotonic clock, and the oldest at `next` once it is full */
  const kept: RefusalReport[] = []
  const counts = new Map<string, RefusalCount>()
  let next = 0

  function note(report: RefusalReport): void {
    kept[next] = report
    next = (next + 1) % most
    const { reason, code } = report
    const key = `${reason ?? ''} ${code ?? ''}`
    const known = counts.get(key)
    if (known) known.count++
    else counts.set(key, { ...(reason !== undefined && { reason }), ...(code !== undefined && { code }), count: 1 })
  }

  return {
    subscriber(event) {
      if (event.type !== 'login-refused') return
      const { login, refused } = event
      const { session, record, attempt } = login
      const { user, backend } = record
      const { reason } = refused.refusal
      const { code } = refused
      note({
        atMs: performance.now(),
        session: session.id,
        attempted: octetsToPrintable(attempt.user, MAX_ATTEMPTED),
        ...(user !== undefined && { user: user.slice(0, MAX_USER) }),
        client: session.connection.client.address,
        listener: session.listener.name,
        protocol: session.listener.protocol,
        mechanism: attempt.mechanism,
        ...(backend !== undefined && { backend }),
        reason,
        ...(code !== undefined && { code }),
        detail: toPrintable(refused.detail, MAX_DETAIL),
      })
    },
    list({ user, attempted, limit }) {
      const isMeant = (one: RefusalReport): boolean =>
        (user === undefined && attempted === undefined) ||
        (user !== undefined && one.user === user) ||
        (attempted !== undefined && one.attempted.toLowerCase() === attempted.toLowerCase())
      const newestFirst = [...kept.slice(next), ...kept.slice(0, next)].reverse()
      return {
        refusals: newestFirst
          .filter(isMeant)
          .slice(0, limit)
          .map((one) => ({ ...one, atMs: toEpochMs(one.atMs) })),
        counts: [...counts.values()],
      }
    },
  }
}
