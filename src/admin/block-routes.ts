/** Blocks in the API: lists them, and sets and removes them for an operator with the token, with a line in the log. */
import { hostname } from 'node:os'
import { z } from 'zod'
import { readDuration } from '../duration.ts'
import type { EndedAnswer } from './answers.ts'
import { auditOf } from './access.ts'
import type { AuditLog } from './audit.ts'
import { declare, type Asked, type Routes } from './declared.ts'
import { refuse } from './guard.ts'
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

const target = z.string().min(1).max(MAX_USER_LENGTH).describe('an address, a network or the name of a user')

const blockBody = z.strictObject({
  target,
  for: z
    .string()
    .max(20)
    .transform(readDuration)
    .refine((ms) => ms !== undefined && ms > 0 && ms <= MAX_FOR_MS, { error: 'a duration such as 1h, up to 366 days' })
    .optional()
    .describe('a duration such as 1h, up to 366 days; absent: without an end'),
  by: z
    .string()
    .regex(/^[\w.@-]{1,100}$/, { error: 'up to 100 letters, digits and . _ @ -' })
    .optional()
    .describe('the operator; default: the host name of mailmux'),
})

export type BlockBody = z.input<typeof blockBody>

const BLOCK = { kind: 'address', target: '192.0.2.7', by: 'root@mx1', sinceMs: 1_796_000_000_000 } as const
const REFUSED = {
  400: 'the target is neither an address, nor a network, nor the name of a user',
  409: 'as things are it cannot be done: the address is exempt, there is no such block, or there are too many',
  503: 'Redis does not answer, or refuses',
}

const listBlocks = declare({
  method: 'get',
  path: '/blocks',
  right: 'read',
  summary: 'Lists the blocks in force at this instance',
  answer: blocksListed,
  example: { answer: { blocks: [BLOCK], scope: 'all' } },
})

const setBlock = declare({
  method: 'post',
  path: '/blocks',
  right: 'operate',
  summary: 'Keeps an address, a network or a user out, on all instances',
  body: blockBody,
  answer: blockDone,
  refusals: REFUSED,
  example: {
    body: { target: '192.0.2.7', for: '1h', by: 'root@mx1' },
    answer: { block: { ...BLOCK, untilMs: 1_796_003_600_000 }, ended: 2, scope: 'all' },
  },
})

const removeBlock = declare({
  method: 'delete',
  path: '/blocks',
  right: 'operate',
  summary: 'Ends a block, on all instances',
  query: z.strictObject({ target }),
  answer: blockDone,
  refusals: REFUSED,
  example: { query: { target: '192.0.2.7' }, answer: { block: BLOCK, ended: 0, scope: 'all' } },
})

/** For the log. */
function untilOf({ untilMs }: { untilMs?: number | undefined }): string {
  return untilMs === undefined ? 'without an end' : new Date(untilMs).toISOString()
}

export function addBlockRoutes(routes: Routes, { blocks }: BlockParts, log: AuditLog): void {
  function answer(
    { c, caller }: Pick<Asked<unknown, unknown, unknown>, 'c' | 'caller'>,
    done: BlockAnswer,
    { by, what, before }: { by?: string; what: string; before: BlocksListed['blocks'] },
  ): BlockDone | Response {
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
        const until = untilMs === undefined ? undefined : untilOf({ untilMs })
        const missing = { silent: applied.silent, lost: applied.lost, incomplete: applied.incomplete }
        const old = before.find((one) => one.kind === kind && one.target === of)
        const facts = { by, kind, target: of, before: old ? untilOf(old) : 'no block', until, ended: applied.ended }
        log.info({ ...auditOf(caller), ...facts, ...missing }, what)
        return { block: done.block, ...applied }
      }
    }
  }

  routes.add(listBlocks, () => blocks.list())
  routes.add(setBlock, async (asked) => {
    const { target: of, for: forMs, by = hostname() } = asked.body
    const before = blocks.list().blocks
    return answer(asked, await blocks.block({ target: of, forMs, by }), { by, what: 'blocked by operator', before })
  })
  routes.add(removeBlock, async (asked) => {
    const before = blocks.list().blocks
    return answer(asked, await blocks.unblock(asked.query.target), { what: 'unblocked by operator', before })
  })
}
