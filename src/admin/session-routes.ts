/** The sessions in the API: lists those that a filter matches, and ends them for an operator with the token, with a line in the log. */
import { z } from 'zod'
import { readDuration } from '../duration.ts'
import { parseNetwork } from '../net/address.ts'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { auditOf } from './access.ts'
import type { AuditLog } from './audit.ts'
import { endedAnswer, sessionsAnswer, type EndedAnswer, type SessionsAnswer } from './answers.ts'
import { declare, type Routes } from './declared.ts'
import { refuse } from './guard.ts'

/** Selects sessions. An absent field matches every session. */
export type SessionFilter = {
  user?: string | undefined
  backend?: string | undefined
  /** an address or a network */
  client?: string | undefined
  listener?: string | undefined
}

/** @returns whether any key of the filter has a value: without one, every session matches */
export function hasFilter(filter: SessionFilter): boolean {
  return Object.values(filter).some((value) => value !== undefined)
}

/** `rebalance`: a share of the matching sessions that relay, from 0 to 1, ends over a window; without `overMs` over the usual one */
export type EndOrder = SessionFilter & {
  now: boolean
  rebalance?: { share: number; overMs?: number | undefined } | undefined
}

/** Each of them may end so: @throws Unavailable */
export type SessionAnswers = {
  /** the oldest that match, `limit` at most */
  sessions: (filter: SessionFilter & { limit: number }) => Promise<SessionsAnswer>
  /** ends those that match at a safe point, or at once with `now`, or a share of them */
  endSessions: (order: EndOrder) => Promise<EndedAnswer>
}

/** Of this instance, and beside it: */
export type SessionParts = SessionAnswers & {
  /** the same of all instances */
  site: SessionAnswers
  /** whether the configuration has a back end or a listener of this name */
  isConfigured: (kind: 'backend' | 'listener', name: string) => boolean
}

/** Longer than any user's name can be, so that the answer is that it is too long, and short enough to be echoed. */
export const MAX_USER_LENGTH = 1000

/** So many sessions are told unless more are asked for, and no more than these: a megabyte or two. */
const USUAL_SESSIONS = 1000
export const MOST_SESSIONS = 10_000

const name = z.string().min(1, { error: 'empty' }).max(200, { error: 'too long' }).optional()

/** The form of a filter, in a query as between instances. */
export const filterForm = {
  user: z.string().min(1, { error: 'empty' }).max(MAX_USER_LENGTH, { error: 'too long' }).optional(),
  backend: name.describe('the name of a back end'),
  client: z
    .string()
    .refine((text) => parseNetwork(text) !== undefined, {
      error: 'an address or a network, such as 192.0.2.7 or 192.0.2.0/24',
    })
    .optional(),
  listener: name.describe('the name of a listener'),
}

const scope = z.enum(['all', 'instance'], { error: 'all or instance' }).optional()

const listQuery = z.strictObject({
  ...filterForm,
  scope,
  limit: z
    .string()
    .regex(/^\d{1,5}$/, { error: 'a number' })
    .transform(Number)
    .refine((limit) => limit <= MOST_SESSIONS, { error: `at most ${MOST_SESSIONS}` })
    .optional(),
})

const flag = z.enum(['true', 'false'], { error: 'true or false' }).optional()

/** A rebalance takes its place in the night, and cannot be taken back. */
export const MAX_OVER_MS = 24 * 3_600_000

const endQuery = z.strictObject({
  ...filterForm,
  scope,
  now: flag.describe('true: at once, and not at a safe point'),
  all: flag.describe('true: every session, without a filter'),
  share: z
    .string()
    .regex(/^\d{1,3}(?:\.\d{1,3})?%?$/, { error: 'a part such as 20%' })
    .transform((percent) => Number(percent.replace('%', '')) / 100)
    .refine((share) => share > 0 && share <= 1, { error: 'over 0% and up to 100%' })
    .optional(),
  over: z
    .string()
    .transform(readDuration)
    .refine((overMs) => overMs !== undefined && overMs <= MAX_OVER_MS, {
      error: 'a duration up to 24h, such as 30s, 10m or 2h',
    })
    .optional(),
})

const [PROTOCOL] = PROTOCOL_NAMES

const SESSION = {
  id: 'k3v9p2',
  client: '192.0.2.7',
  listener: 'mail',
  protocol: PROTOCOL,
  phase: 'relaying',
  user: 'alice@example.test',
  backend: 'store1',
  tls: 'TLSv1.3',
  ageSeconds: 340,
  idleSeconds: 12,
} as const
const UNKNOWN = { 400: 'no session matches, and the configuration has no back end or listener of this name' }

const listSessions = declare({
  method: 'get',
  path: '/sessions',
  right: 'read',
  summary: 'Lists the open client connections of all instances, the oldest first',
  query: listQuery,
  answer: sessionsAnswer,
  refusals: UNKNOWN,
  example: {
    query: { user: 'alice@example.test', limit: '10' },
    answer: { sessions: [SESSION], total: 1, scope: 'all' },
  },
})

const endSessions = declare({
  method: 'delete',
  path: '/sessions',
  right: 'operate',
  summary: 'Ends the sessions that a filter matches, at safe points, at once, or a share of them over a time',
  query: endQuery,
  answer: endedAnswer,
  refusals: UNKNOWN,
  example: {
    query: { backend: 'store1', share: '20%', over: '10m' },
    answer: { ended: 24, scope: 'all' },
  },
})

const WHICH = 'which sessions? user, backend, client and listener select some, and all=true selects every one'

/** What the fields of an order have wrong together. */
function findContradiction({
  now,
  all,
  share,
  over,
  scope: _,
  ...filter
}: z.output<typeof endQuery>): string | undefined {
  const isFiltered = hasFilter(filter)
  if (!isFiltered && all !== 'true') return `query: ${WHICH}`
  if (isFiltered && all === 'true') return 'query.all: all=true goes with no filter'
  if (share === undefined && over !== undefined) return 'query.over: over goes with share alone'
  if (share !== undefined && now === 'true')
    return 'query.now: share ends sessions at safe points, and does not go with now=true'
  return undefined
}

export function addSessionRoutes(routes: Routes, parts: SessionParts, log: AuditLog): void {
  const { site, isConfigured } = parts
  const own: SessionAnswers = {
    sessions: async (filter) => ({ ...(await parts.sessions(filter)), scope: 'instance' }),
    endSessions: async (order) => ({ ...(await parts.endSessions(order)), scope: 'instance' }),
  }

  routes.add(listSessions, async ({ query, c }) => {
    const { limit = USUAL_SESSIONS, scope: of, ...filter } = query
    const answer = await (of === 'instance' ? own : site).sessions({ ...filter, limit })
    const unknown = answer.total === 0 ? unknownName(filter, answer, isConfigured) : undefined
    return unknown === undefined ? answer : refuse(c, 400, unknown)
  })

  routes.add(endSessions, async ({ query, caller, c }) => {
    const contradiction = findContradiction(query)
    if (contradiction !== undefined) return refuse(c, 400, contradiction)
    const { now, all: _, scope: of, share, over: overMs, ...filter } = query
    const rebalance = share === undefined ? undefined : { share, ...(overMs !== undefined && { overMs }) }
    const order = { ...filter, now: now === 'true', ...(rebalance && { rebalance }) }
    const answer = await (of === 'instance' ? own : site).endSessions(order)
    const unknown = answer.ended === 0 ? unknownName(filter, answer, isConfigured) : undefined
    if (unknown !== undefined) return refuse(c, 400, unknown)
    const { ended, incomplete, silent, lost } = answer
    const missing = { ...(silent && { silent }), ...(lost && { lost }) }
    log.info({ ...auditOf(caller), ...order, ended, incomplete, ...missing }, 'sessions ended by operator')
    return answer
  })
}

/**
 * A filter that matches nothing may have a mistake. Sessions at a back end that a reload has removed still match its name.
 * @returns which name is unknown; undefined where a part of the answer is missing, since that part might know it
 */
function unknownName(
  { backend, listener }: SessionFilter,
  answer: SessionsAnswer | EndedAnswer,
  isConfigured: SessionParts['isConfigured'],
): string | undefined {
  if (!isWhole(answer)) return undefined
  if (backend !== undefined && !isConfigured('backend', backend)) return `there is no back end ${backend}`
  if (listener !== undefined && !isConfigured('listener', listener)) return `there is no listener ${listener}`
  return undefined
}

/** Whether each worker of each instance has answered. */
export function isWhole({ incomplete, instances = [], scope: covered, silent, lost }: Coverage): boolean {
  return ![incomplete, silent, lost, ...instances.map((one) => one.incomplete)].some(Boolean) && covered !== 'partial'
}

type Coverage = Pick<SessionsAnswer, 'incomplete' | 'scope' | 'silent' | 'lost'> & {
  instances?: { incomplete?: number[] | undefined }[] | undefined
}
