/** Blocks in the API: lists them, and sets and removes them for an operator with the token, with a line in the log. */
import { hostname } from 'node:os'
import type { HttpBindings } from '@hono/node-server'
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { readDuration } from '../duration.ts'
import type { Log } from '../log.ts'
import type { Secret } from '../secret.ts'
import type { EndedAnswer } from './answers.ts'
import { boundBody, onlyWithToken, peerOf, refuse } from './guard.ts'
import { MAX_USER_LENGTH } from './session-routes.ts'

const block = z.object({
  kind: z.enum(['address', 'user']),
  target: z.string(),
  by: z.string().optional(),
  sinceMs: z.number().optional(),
  untilMs: z.number().optional(),
})

const coverage = {
  scope: z.enum(['all', 'instance', 'partial']).optional(),
  why: z.string().optional(),
  silent: z.array(z.string()).optional(),
  lost: z.array(z.string()).optional(),
}

export const blocksListed = z.object({ blocks: z.array(block), ...coverage })

const ended = { ended: z.number(), incomplete: z.array(z.number()).optional() }

export const blockDone = z.object({
  block,
  ...ended,
  instances: z.array(z.object({ instance: z.string(), ...ended })).optional(),
  ...coverage,
})

export type BlocksListed = z.infer<typeof blocksListed>
export type BlockDone = z.infer<typeof blockDone>

/** `forbidden`: things are so that it cannot be done. `applied`: by all instances */
export type BlockAnswer =
  | { result: 'done'; block: BlocksListed['blocks'][number]; applied: EndedAnswer }
  | { result: 'wrong' | 'forbidden' | 'unavailable'; why: string }

export type BlockOrder = { target: string; forMs: number | undefined; by: string }

/** Each takes effect on all instances before it resolves, as far as they answer. */
export type BlockOrders = {
  /** those in force at this instance */
  list: () => BlocksListed
  block: (order: BlockOrder) => Promise<BlockAnswer>
  unblock: (target: string) => Promise<BlockAnswer>
}

export type BlockParts = { blocks: BlockOrders }

/** A longer block is one without an end. */
const MAX_FOR_MS = 366 * 24 * 3_600_000

const target = z.string().min(1).max(MAX_USER_LENGTH)

const blockBody = z.strictObject({
  target,
  for: z
    .string()
    .max(20)
    .transform(readDuration)
    .refine((ms) => ms !== undefined && ms > 0 && ms <= MAX_FOR_MS)
    .optional(),
  by: z
    .string()
    .regex(/^[\w.@-]{1,100}$/)
    .optional(),
})

export type BlockBody = z.input<typeof blockBody>

const BODY_USAGE =
  'the body must be {"target": an address, a network or a user}, and may have "for": a duration such as "1h", up to 366 days'

type Env = { Bindings: HttpBindings }
type Parts = BlockParts & { token: () => Secret | undefined }

export function addBlockRoutes(api: Hono<Env>, { token, blocks }: Parts, log: Log): void {
  function answer(c: Context<Env>, done: BlockAnswer, by: string | undefined, what: string): Response {
    switch (done.result) {
      case 'wrong':
        return refuse(c, 400, done.why)
      case 'forbidden':
        return refuse(c, 409, done.why)
      case 'unavailable':
        return refuse(c, 503, done.why)
      case 'done': {
        const { workers: _, ...applied } = done.applied
        const { kind, target: of, untilMs } = done.block
        const until = untilMs === undefined ? undefined : new Date(untilMs).toISOString()
        const missing = { silent: applied.silent, lost: applied.lost, incomplete: applied.incomplete }
        log.info({ peer: peerOf(c), by, kind, target: of, until, ended: applied.ended, ...missing }, what)
        return c.json({ block: done.block, ...applied } satisfies BlockDone)
      }
    }
  }

  api.get('/blocks', (c) => c.json(blocks.list()))
  api.post('/blocks', onlyWithToken(token), boundBody, async (c) => {
    const body = blockBody.safeParse(await c.req.json().catch(() => undefined))
    if (!body.success) return refuse(c, 400, BODY_USAGE)
    const { target: of, for: forMs, by = hostname() } = body.data
    return answer(c, await blocks.block({ target: of, forMs, by }), by, 'blocked by operator')
  })
  api.delete('/blocks', onlyWithToken(token), async (c) => {
    const asked = z.strictObject({ target }).safeParse(c.req.query())
    if (!asked.success) return refuse(c, 400, 'target, an address, a network or a user, is what can be unblocked')
    return answer(c, await blocks.unblock(asked.data.target), undefined, 'unblocked by operator')
  })
}
