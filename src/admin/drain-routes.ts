/** The drain of the whole instance in the API: the order, and how far it has come. */
import { z } from 'zod'
import { auditOf } from './access.ts'
import type { AuditLog } from './audit.ts'
import { declare, type Routes } from './declared.ts'
import { refuse } from './guard.ts'

/** Longer than any load balancer takes to see that an instance is not ready. */
const MAX_ACCEPT_MS = 600_000

const drainBody = z.strictObject({
  acceptMs: z.number().int().min(0).max(MAX_ACCEPT_MS).describe('from the failing health check until the ports close'),
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

const readDrain = declare({
  method: 'get',
  path: '/drain',
  right: 'read',
  summary: 'How far the drain of this instance has come',
  answer: drainAnswer,
  example: { answer: { state: 'serving', sessions: 120, withinMs: 0 } },
})

const orderDrain = declare({
  method: 'post',
  path: '/drain',
  right: 'operate',
  summary: 'Drains this instance: its ports close, and its sessions end at safe points',
  body: drainBody,
  answer: drainAnswer,
  refusals: { 409: 'mailmux starts, stops or is being upgraded' },
  example: { body: { acceptMs: 5000 }, answer: { state: 'accepting', sessions: 120, withinMs: 65_000 } },
})

export function addDrainRoutes(routes: Routes, { drain }: DrainParts, log: AuditLog): void {
  routes.add(readDrain, () => drain.status())
  routes.add(orderDrain, async ({ body, caller, c }) => {
    const before = (await drain.status().catch(() => undefined))?.state
    log.info({ ...auditOf(caller), before, ...body }, 'drain requested by operator')
    const result = await drain.order(body.acceptMs)
    return 'error' in result ? refuse(c, 409, result.error) : result
  })
}
