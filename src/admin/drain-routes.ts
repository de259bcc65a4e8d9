/** The drain of the whole instance in the API: the order, and how far it has come. */
import type { HttpBindings } from '@hono/node-server'
import type { Hono } from 'hono'
import { z } from 'zod'
import type { Log } from '../log.ts'
import type { Secret } from '../secret.ts'
import { boundBody, onlyWithToken, peerOf, refuse } from './guard.ts'

/** Longer than any load balancer takes to see that an instance is not ready. */
const MAX_ACCEPT_MS = 600_000

const drainBody = z.strictObject({
  /** from the failing health check until the ports close */
  acceptMs: z.number().int().min(0).max(MAX_ACCEPT_MS),
})

/**
 * `serving`: there is no order. `accepting`: the health check fails, and the ports are open still. `ending`: the ports are closed, and the
 * sessions end. `drained`: none is left.
 */
export const drainAnswer = z.object({
  state: z.enum(['serving', 'accepting', 'ending', 'drained']),
  sessions: z.number(),
  /** after this the state is `drained` at the latest */
  withinMs: z.number(),
})

export type DrainAnswer = z.infer<typeof drainAnswer>

export type DrainParts = {
  drain: {
    /** A further order has no effect. `error`: nothing has changed */
    order: (acceptMs: number) => Promise<DrainAnswer | { error: string }>
    status: () => Promise<DrainAnswer>
  }
}

type Env = { Bindings: HttpBindings }
type Parts = DrainParts & { token: () => Secret | undefined }

export function addDrainRoutes(api: Hono<Env>, { token, drain }: Parts, log: Log): void {
  api.get('/drain', async (c) => c.json(await drain.status()))
  api.post('/drain', onlyWithToken(token), boundBody, async (c) => {
    const body = drainBody.safeParse(await c.req.json().catch(() => undefined))
    if (!body.success) return refuse(c, 400, `the body must be {"acceptMs": up to ${MAX_ACCEPT_MS}}`)
    log.info({ peer: peerOf(c), ...body.data }, 'drain requested by operator')
    const result = await drain.order(body.data.acceptMs)
    return 'error' in result ? refuse(c, 409, result.error) : c.json(result)
  })
}
