/** The users and addresses near a limit, in the API. */
import type { HttpBindings } from '@hono/node-server'
import type { Hono } from 'hono'
import { z } from 'zod'
import { refuse } from './guard.ts'

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

const query = z.strictObject({ limit: z.coerce.number().int().min(1).max(MOST_LIMITS).default(USUAL_LIMITS) })

export function addLimitRoutes(api: Hono<{ Bindings: HttpBindings }>, { limits }: LimitParts): void {
  api.get('/limits', async (c) => {
    const asked = query.safeParse(c.req.query())
    if (!asked.success) return refuse(c, 400, `limit, from 1 to ${MOST_LIMITS}, is all that can be asked`)
    return c.json(await limits(asked.data.limit))
  })
}
