/** The routes of users in Redis in the API: lists them, and sets and removes one for an operator, with a line in the log. */
import { z } from 'zod'
import type { AuditLog } from './audit.ts'
import { auditOf } from './access.ts'
import { declare, type Asked, type Routes } from './declared.ts'
import { refuse } from './guard.ts'
import { MAX_USER_LENGTH } from './session-routes.ts'

const STATUSES = ['active', 'hold', 'disabled'] as const
/** Routes of one answer. `mailmux route list` and `export` have all. */
export const MOST_ROUTES = 1000

const stored = z.object({
  backend: z.string().optional(),
  login: z.string().optional(),
  status: z.string().optional(),
})

export const routesListed = z.object({
  routes: z.array(z.object({ user: z.string() }).extend(stored.shape)),
  more: z.boolean().describe('true: Redis has further ones'),
})

export const routeChanged = z.object({
  user: z.string().describe('the name of the route'),
  changed: z.boolean(),
  before: stored.optional(),
  after: stored.optional(),
  notes: z.array(z.string()).describe('what the operator should know, a sentence each'),
})

export type RoutesListed = z.infer<typeof routesListed>

/** `no-place`: the directory of the configuration has no routes that can be changed */
export type RouteNotDone =
  { result: 'wrong' | 'no-place' | 'unavailable'; why: string } | { result: 'refused'; why: string }

type Stored = { backend: string | undefined; login: string | undefined; status: string | undefined }

export type RouteChanged = {
  result: 'changed' | 'unchanged'
  user: string
  before: Stored | undefined
  after: Stored | undefined
  notes: string[]
}

export type RouteChangeOrder = {
  backend?: string | undefined
  login?: string | null | undefined
  status?: (typeof STATUSES)[number] | undefined
}

export type RouteListFilter = {
  pattern?: string | undefined
  backend?: string | undefined
  status?: string | undefined
  limit: number
}

export type RouteParts = {
  routes: {
    list: (filter: RouteListFilter) => Promise<RoutesListed | RouteNotDone>
    set: (user: string, change: RouteChangeOrder) => Promise<RouteChanged | RouteNotDone>
    remove: (user: string) => Promise<RouteChanged | RouteNotDone>
  }
}

const REFUSED = {
  400: 'the name is no user, the routing file has no such back end, or a value makes no sense',
  409: 'the user is being moved, Redis has lost its data, or the directory is not Redis',
  503: 'Redis gives no answer',
}
const params = z.strictObject({ user: z.string().min(1).max(MAX_USER_LENGTH).describe('the name of the route') })
const USER = 'alice@example.test'

const listRoutes = declare({
  method: 'get',
  path: '/routes',
  right: 'read',
  summary: 'Lists routes in Redis, in the order in which Redis has them',
  query: z.strictObject({
    pattern: z.string().max(MAX_USER_LENGTH).optional().describe('of the names, where * stands for any text'),
    backend: z.string().max(100).optional(),
    status: z.enum(STATUSES).optional(),
    limit: z
      .string()
      .regex(/^\d{1,4}$/u, { error: `a number up to ${MOST_ROUTES}` })
      .transform(Number)
      .refine((limit) => limit >= 1 && limit <= MOST_ROUTES, { error: `a number up to ${MOST_ROUTES}` })
      .optional()
      .describe('default: 100'),
  }),
  answer: routesListed,
  refusals: { 409: 'the directory is not Redis', 503: 'Redis gives no answer' },
  example: {
    query: { backend: 'store1', limit: '20' },
    answer: { routes: [{ user: USER, backend: 'store1' }], more: false },
  },
})

const setRoute = declare({
  method: 'put',
  path: '/routes/:user',
  right: 'operate',
  summary: 'Writes the route of a user to Redis, or changes a part of it; copies no mail',
  params,
  body: z.strictObject({
    backend: z.string().max(100).optional().describe('of the routing file; may be absent if there is a route'),
    login: z.string().max(320).nullable().optional().describe('the name at the back end; null: that of the user'),
    status: z.enum(STATUSES).optional(),
  }),
  answer: routeChanged,
  refusals: REFUSED,
  example: {
    params: { user: USER },
    body: { backend: 'store2' },
    answer: { user: USER, changed: true, before: { backend: 'store1' }, after: { backend: 'store2' }, notes: [] },
  },
})

const removeRoute = declare({
  method: 'delete',
  path: '/routes/:user',
  right: 'operate',
  summary: 'Removes the route of a user from Redis, and says what the next login does',
  params,
  answer: routeChanged,
  refusals: REFUSED,
  example: {
    params: { user: USER },
    answer: {
      user: USER,
      changed: true,
      before: { backend: 'store1' },
      notes: ['the next login is refused as that of an unknown user, like a wrong password'],
    },
  },
})

export function addRouteRoutes(routes: Routes, { routes: orders }: RouteParts, log: AuditLog): void {
  function answer(
    { c, caller }: Pick<Asked<unknown, unknown, unknown>, 'c' | 'caller'>,
    done: RouteChanged | RouteNotDone,
    what: string,
  ): z.input<typeof routeChanged> | Response {
    if ('why' in done) return refuse(c, STATUS_OF[done.result], done.why)
    const { result, user, before, after, notes } = done
    const changed = result === 'changed'
    log.info({ ...auditOf(caller), user, before, after, changed }, what)
    return { user, changed, ...(before && { before }), ...(after && { after }), notes }
  }

  routes.add(listRoutes, async ({ query: { limit = 100, ...filter }, c }) => {
    const listed = await orders.list({ ...filter, limit })
    return 'why' in listed ? refuse(c, STATUS_OF[listed.result], listed.why) : listed
  })
  routes.add(setRoute, async (asked) =>
    answer(asked, await orders.set(asked.params.user, asked.body), 'route set by operator'),
  )
  routes.add(removeRoute, async (asked) =>
    answer(asked, await orders.remove(asked.params.user), 'route removed by operator'),
  )
}

const STATUS_OF = { wrong: 400, 'no-place': 409, refused: 409, unavailable: 503 } as const
