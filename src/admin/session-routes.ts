/** The sessions in the API: lists those that a filter matches, and ends them for an operator with the token, with a line in the log. */
import type { HttpBindings } from '@hono/node-server'
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { readDuration } from '../duration.ts'
import type { Log } from '../log.ts'
import { parseNetwork } from '../net/address.ts'
import type { Secret } from '../secret.ts'
import type { EndedAnswer, SessionsAnswer } from './answers.ts'
import { onlyWithToken, peerOf, refuse } from './guard.ts'

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

const name = (what: string) =>
  z
    .string()
    .min(1, { error: `${what}: empty` })
    .max(200, { error: `${what}: too long` })
    .optional()

/** The form of a filter, in a query as between instances. */
export const filterForm = {
  user: z.string().min(1, { error: 'user: empty' }).max(MAX_USER_LENGTH, { error: 'user: too long' }).optional(),
  backend: name('backend'),
  client: z
    .string()
    .refine((text) => parseNetwork(text) !== undefined, {
      error: 'client: an address or a network, such as 192.0.2.7 or 192.0.2.0/24',
    })
    .optional(),
  listener: name('listener'),
}

const scope = z.enum(['all', 'instance'], { error: 'scope: all or instance' }).optional()

const listQuery = z.strictObject({
  ...filterForm,
  scope,
  limit: z
    .string()
    .regex(/^\d{1,5}$/, { error: 'limit: a number' })
    .transform(Number)
    .refine((limit) => limit <= MOST_SESSIONS, { error: 'limit: too large' })
    .optional(),
})

const flag = (what: string) => z.enum(['true', 'false'], { error: `${what}: true or false` }).optional()

/** A rebalance takes its place in the night, and cannot be taken back. */
export const MAX_OVER_MS = 24 * 3_600_000

const endQuery = z.strictObject({
  ...filterForm,
  scope,
  now: flag('now'),
  all: flag('all'),
  share: z
    .string()
    .regex(/^\d{1,3}(?:\.\d{1,3})?%?$/, { error: 'share: a part such as 20%' })
    .transform((percent) => Number(percent.replace('%', '')) / 100)
    .refine((share) => share > 0 && share <= 1, { error: 'share: over 0% and up to 100%' })
    .optional(),
  over: z
    .string()
    .transform(readDuration)
    .refine((overMs) => overMs !== undefined && overMs <= MAX_OVER_MS, {
      error: 'over: a duration up to 24h, such as 30s, 10m or 2h',
    })
    .optional(),
})

const LIST_USAGE = `user, backend, client, listener, scope, and limit up to ${MOST_SESSIONS} are what can be asked of sessions`
const END_USAGE =
  'user, backend, client and listener, or all=true, scope, and now=true, or share and over, are what can be said of sessions to end'

type Env = { Bindings: HttpBindings }
type Parts = SessionParts & { token: () => Secret | undefined }

export function addSessionRoutes(api: Hono<Env>, parts: Parts, log: Log): void {
  const { token, site, isConfigured } = parts
  const own: SessionAnswers = {
    sessions: async (filter) => ({ ...(await parts.sessions(filter)), scope: 'instance' }),
    endSessions: async (order) => ({ ...(await parts.endSessions(order)), scope: 'instance' }),
  }

  api.get('/sessions', async (c) => {
    const asked = listQuery.safeParse(c.req.query())
    if (!asked.success) return refuse(c, 400, `${reasonsIn(asked.error)}; ${LIST_USAGE}`)
    const { limit = USUAL_SESSIONS, scope: of, ...filter } = asked.data
    const answer = await (of === 'instance' ? own : site).sessions({ ...filter, limit })
    const unknown = answer.total === 0 ? unknownName(filter, answer, isConfigured) : undefined
    return unknown === undefined ? c.json(answer) : refuse(c, 400, unknown)
  })

  api.delete('/sessions', onlyWithToken(token), async (c: Context<Env>) => {
    const asked = endQuery.safeParse(c.req.query())
    if (!asked.success) return refuse(c, 400, `${reasonsIn(asked.error)}; ${END_USAGE}`)
    const { now: isNow, all: isAll, scope: of, share, over: overMs, ...filter } = asked.data
    const isFiltered = hasFilter(filter)
    if (!isFiltered && isAll !== 'true') return refuse(c, 400, `which sessions? ${END_USAGE}`)
    if (isFiltered && isAll === 'true') return refuse(c, 400, 'all=true goes with no filter')
    const now = isNow === 'true'
    if (share === undefined && overMs !== undefined) return refuse(c, 400, 'over goes with share alone')
    if (share !== undefined && now)
      return refuse(c, 400, 'share ends sessions at safe points, and does not go with now=true')
    const rebalance = share === undefined ? undefined : { share, ...(overMs !== undefined && { overMs }) }
    const order = { ...filter, now, ...(rebalance && { rebalance }) }
    const answer = await (of === 'instance' ? own : site).endSessions(order)
    const unknown = answer.ended === 0 ? unknownName(filter, answer, isConfigured) : undefined
    if (unknown !== undefined) return refuse(c, 400, unknown)
    const { ended, incomplete, silent, lost } = answer
    const missing = { ...(silent && { silent }), ...(lost && { lost }) }
    log.info({ peer: peerOf(c), ...order, ended, incomplete, ...missing }, 'sessions ended by operator')
    return c.json(answer)
  })
}

function reasonsIn({ issues }: z.ZodError): string {
  return issues.map(({ message }) => message).join('; ')
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
