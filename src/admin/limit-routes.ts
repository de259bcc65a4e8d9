/** The users and addresses near a limit, in the API. */
import { z } from 'zod'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { declare, type Routes } from './declared.ts'

/** Rows of one answer. */
export const MOST_LIMITS = 1000
const USUAL_LIMITS = 100

const usage = z.object({
  limit: z.string(),
  /** the protocol, or the listener */
  of: z.string(),
  subject: z.string(),
  count: z.number(),
  most: z.number(),
  instances: z.array(z.object({ instance: z.string(), count: z.number() })).optional(),
})

export const limitsListed = z.object({
  limits: z.array(usage),
  scope: z.enum(['all', 'instance', 'partial']).optional(),
  why: z.string().optional(),
  silent: z.array(z.string()).optional(),
  lost: z.array(z.string()).optional(),
})

export type LimitsListed = z.infer<typeof limitsListed>

export type LimitParts = {
  /** those of all instances that are nearest to their limits */
  limits: (most: number) => Promise<LimitsListed>
}

const [PROTOCOL] = PROTOCOL_NAMES

const listLimits = declare({
  method: 'get',
  path: '/limits',
  right: 'read',
  summary: 'Lists the users and addresses nearest to a limit on clients, of all instances',
  query: z.strictObject({
    limit: z.coerce.number<string>().int().min(1).max(MOST_LIMITS).default(USUAL_LIMITS).describe('rows of the answer'),
  }),
  answer: limitsListed,
  example: {
    query: { limit: '10' },
    answer: {
      limits: [{ limit: 'max_connections_per_user', of: PROTOCOL, subject: 'alice@example.test', count: 18, most: 20 }],
      scope: 'all',
    },
  },
})

export function addLimitRoutes(routes: Routes, { limits }: LimitParts): void {
  routes.add(listLimits, ({ query }) => limits(query.limit))
}
