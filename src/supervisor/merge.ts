/** Merges the answers of several workers into one answer of the same form. Pure. */
import type { BackendAnswer, EndedAnswer, RouteAnswer, SessionAnswer } from '../admin/answers.ts'
import type { Answers } from '../answers.ts'
import type { BackendSettings } from '../config/settings.ts'

type Load = BackendAnswer['load']

/**
 * A back end is up if it is up for all workers. An address has the worst state of all workers. Loads are sums, and so are the limits
 * of which each worker has a share. The leased limits are those of the configuration.
 * @param answers of each worker, in the order of the routing file
 */
export function mergeBackends(
  answers: readonly (readonly BackendAnswer[])[],
  configured: ReadonlyMap<string, Pick<BackendSettings, 'limits'>>,
): BackendAnswer[] {
  const byName = new Map<string, BackendAnswer[]>()
  for (const answer of answers.flat()) byName.set(answer.name, [...(byName.get(answer.name) ?? []), answer])
  return [...byName.values()].flatMap((seen) => {
    const [first] = seen
    if (!first) return []
    return {
      ...first,
      up: seen.every(({ up }) => up),
      addresses: mergeAddresses(seen.map(({ addresses }) => addresses)),
      load: withLeased(seen.map(({ load }) => load).reduce(addLoad), configured.get(first.name)),
    }
  })
}

function withLeased(load: Load, configured: Pick<BackendSettings, 'limits'> | undefined): Load {
  if (!configured) return load
  const { sessions, logins } = configured.limits
  return { ...load, limits: { ...load.limits, ...(sessions !== undefined && { sessions }), logins } }
}

type Address = BackendAnswer['addresses'][number]

const SEVERITY: Record<Address['state'], number> = { up: 0, misconfigured: 1, down: 2 }

function mergeAddresses(seen: readonly (readonly Address[])[]): Address[] {
  const byEndpoint = new Map<string, Address>()
  for (const address of seen.flat()) {
    const endpoint = `${address.protocol} ${address.ip} ${address.port}`
    const other = byEndpoint.get(endpoint)
    if (!other || SEVERITY[address.state] > SEVERITY[other.state]) byEndpoint.set(endpoint, address)
  }
  return [...byEndpoint.values()]
}

function addLoad(a: Load, b: Load): Load {
  return {
    sessions: a.sessions + b.sessions,
    logins: a.logins + b.logins,
    waiting: a.waiting + b.waiting,
    limits: {
      ...addOptional('sessions', a.limits, b.limits),
      ...addOptional('loginsPerSecond', a.limits, b.limits),
      logins: a.limits.logins + b.limits.logins,
      waitMs: a.limits.waitMs,
      queue: a.limits.queue + b.limits.queue,
    },
    ...addSlowStart(a, b),
  }
}

function addOptional<K extends 'sessions' | 'loginsPerSecond'>(
  key: K,
  a: Load['limits'],
  b: Load['limits'],
): Partial<Record<K, number>> {
  const [one, other] = [a[key], b[key]]
  return one === undefined || other === undefined ? {} : ({ [key]: one + other } as Record<K, number>)
}

/** If only one of the two workers is in slow start, the other one counts with its normal limits. */
function addSlowStart(a: Load, b: Load): Pick<Load, 'slowStart'> {
  if (!a.slowStart && !b.slowStart) return {}
  const of = ({ slowStart, limits }: Load): NonNullable<Load['slowStart']> =>
    slowStart ?? { logins: limits.logins, loginsPerSecond: limits.loginsPerSecond ?? limits.logins }
  const [one, other] = [of(a), of(b)]
  return {
    slowStart: {
      logins: one.logins + other.logins,
      loginsPerSecond: one.loginsPerSecond + other.loginsPerSecond,
    },
  }
}

/** The sessions of one worker; undefined if it does not answer. */
export type SessionsOfWorker = { worker: number; told: SessionsOf | undefined }

type SessionsOf = { sessions: SessionAnswer[]; total: number; unconnected?: number | undefined }

/** The oldest sessions of all workers, at most `limit`, each with its worker, and the workers that did not answer. */
export function mergeSessions(
  workers: readonly SessionsOfWorker[],
  limit: number,
): SessionsOf & { incomplete?: number[] } {
  const sessions = workers
    .flatMap(({ worker, told }) => told?.sessions.map((session) => ({ ...session, worker })) ?? [])
    .sort((a, b) => b.ageSeconds - a.ageSeconds)
    .slice(0, limit)
  const counts = countSessions(workers.flatMap(({ told }) => told ?? []))
  return { sessions, ...counts, ...missingIn(workers) }
}

/** Sums of workers or instances. */
export function countSessions(each: readonly Omit<SessionsOf, 'sessions'>[]): Omit<SessionsOf, 'sessions'> {
  const unconnected = each.reduce((sum, one) => sum + (one.unconnected ?? 0), 0)
  return { total: each.reduce((sum, { total }) => sum + total, 0), ...(unconnected > 0 && { unconnected }) }
}

/** @param workers `told`: the number of sessions that the worker ends; undefined if it does not answer */
export function mergeEnded(workers: readonly { worker: number; told: number | undefined }[]): EndedAnswer {
  const each = workers.flatMap(({ worker, told }) => (told === undefined ? [] : { worker, ended: told }))
  return { ended: each.reduce((sum, { ended }) => sum + ended, 0), workers: each, ...missingIn(workers) }
}

function missingIn(workers: readonly { worker: number; told: unknown }[]): { incomplete?: number[] } {
  const missing = workers.filter(({ told }) => told === undefined).map(({ worker }) => worker)
  return missing.length > 0 ? { incomplete: missing } : {}
}

type Explanation = RouteAnswer | { wrong: string }

/**
 * The explanation of one worker. `otherWorkers` has the decisions of those workers that decide differently.
 * @param others `told` is undefined if the worker gave no answer
 */
export function mergeExplanations(
  answer: Explanation,
  others: readonly { worker: number; told: Explanation | undefined }[],
): Explanation {
  if ('wrong' in answer) return answer
  const otherWorkers = others.flatMap(({ worker, told }) => {
    if (!told || 'wrong' in told || haveSameDecision(told, answer)) return []
    const { usable, route, refusal } = told
    return [{ worker, usable, ...(route && { route }), ...(refusal && { refusal }) }]
  })
  return otherWorkers.length === 0 ? answer : { ...answer, otherWorkers }
}

function haveSameDecision(a: RouteAnswer, b: RouteAnswer): boolean {
  return (
    a.usable === b.usable &&
    a.route?.backend === b.route?.backend &&
    a.route?.login === b.route?.login &&
    a.refusal?.code === b.refusal?.code &&
    a.refusal?.reason === b.refusal?.reason
  )
}

type Quiescence = Awaited<ReturnType<Answers['quiesce']>>

/** The user has left the back end if each worker sees the hold and has no session of the user there. */
export function mergeQuiescence(answers: readonly { worker: number; told: Quiescence | undefined }[]): Quiescence {
  let left = 0
  for (const { worker, told } of answers) {
    if (!told) return { isHeld: false, why: `worker ${worker} does not answer` }
    if (!told.isHeld) return told
    left += told.left
  }
  return { isHeld: true, left }
}
