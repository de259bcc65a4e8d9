/**
 * Traces in the API: an order begins a trace, each repetition of it brings the lines since the one before, and one with `end` ends it. A
 * trace shows what users do, so each order needs the token. Its begin and its end are lines of the log.
 */
import { hostname } from 'node:os'
import { z } from 'zod'
import { readDuration } from '../duration.ts'
import { auditOf } from './access.ts'
import type { AuditLog } from './audit.ts'
import { declare, type Routes } from './declared.ts'
import { refuse } from './guard.ts'
import { filterForm } from './session-routes.ts'

/** A trace that is forgotten must end. Who needs longer begins another one. */
const MAX_FOR_MS = 3_600_000
/** Those that this process reports the end of. More would be a mistake of a program. */
const MOST_TRACES = 64
/** As in the workers: without an order for so long, the reader has gone. */
const ABANDONED_MS = 10_000

const line = z.object({
  atMs: z.number(),
  session: z.string(),
  leg: z.enum(['from-client', 'to-client', 'to-backend', 'from-backend', 'note']),
  text: z.string(),
  instance: z.string().optional(),
})

export const traceAnswer = z.object({
  lines: z.array(line),
  /** lines over a limit, since the order before */
  dropped: z.number(),
  /** at some worker there are as many traces as there may be */
  refused: z.literal(true).optional(),
  incomplete: z.array(z.number()).optional(),
  scope: z.enum(['all', 'instance', 'partial']).optional(),
  why: z.string().optional(),
  silent: z.array(z.string()).optional(),
  lost: z.array(z.string()).optional(),
})

export type TraceAnswer = z.infer<typeof traceAnswer>

export const traceTold = traceAnswer.extend({ leftMs: z.number() })
export type TraceTold = z.infer<typeof traceTold>

const sessionId = z.string().regex(/^[\w-]{1,40}$/)

/** Of orders between instances, as of those of operators. */
export const traceForm = {
  id: z.string().regex(/^[\da-f]{16}$/),
  user: filterForm.user,
  client: filterForm.client,
  session: sessionId.optional(),
}

export type TraceOrders = {
  /** Begins a trace at all workers of all instances, or goes on with it. Without an order for ten seconds it ends. */
  collect(order: { id: string; filter: TraceFilter; leftMs: number }): Promise<TraceAnswer>
  end(id: string): Promise<TraceAnswer>
}

type TraceFilter = { user?: string | undefined; client?: string | undefined; session?: string | undefined }

export type TraceParts = { traces: TraceOrders }

const traceBody = z
  .strictObject({
    ...traceForm,
    for: z
      .string()
      .max(20)
      .transform(readDuration)
      .refine((ms) => ms !== undefined && ms > 0 && ms <= MAX_FOR_MS, { error: 'a duration such as 5m, up to 1h' })
      .describe('a duration such as 5m, up to 1h, from the first request on'),
    by: z
      .string()
      .regex(/^[\w.@-]{1,100}$/, { error: 'up to 100 letters, digits and . _ @ -' })
      .optional()
      .describe('the operator; default: the host name of mailmux'),
    end: z.boolean().optional().describe('the trace ends'),
  })
  .refine(({ user, client, session }) => user !== undefined || client !== undefined || session !== undefined, {
    error: 'needs user, client or session',
  })

export type TraceBody = z.input<typeof traceBody>

const collectTrace = declare({
  method: 'post',
  path: '/traces',
  right: 'operate',
  summary: 'Begins a trace of sessions on all instances, and brings its lines when it is repeated',
  body: traceBody,
  answer: traceTold,
  refusals: { 409: 'there are as many traces as there may be' },
  example: {
    body: { id: '9f86d081884c7d65', user: 'alice@example.test', for: '5m', by: 'root@mx1' },
    answer: {
      lines: [{ atMs: 1_796_000_000_000, session: '1f0c9a3e-4', leg: 'note', text: 'phase routing' }],
      dropped: 0,
      scope: 'all',
      leftMs: 300_000,
    },
  },
})

type Running = { begunMs: number; lines: number; dropped: number; timer: NodeJS.Timeout | undefined }

export function addTraceRoutes(routes: Routes, { traces }: TraceParts, log: AuditLog): void {
  const running = new Map<string, Running>()

  function finish(id: string, why: string): void {
    const trace = running.get(id)
    if (!trace) return
    clearTimeout(trace.timer)
    running.delete(id)
    const { begunMs, lines, dropped } = trace
    log.info({ trace: id, why, lines, dropped, ms: Math.round(performance.now() - begunMs) }, 'trace ended')
  }

  routes.add(collectTrace, async ({ c, caller, body }) => {
    const { id, for: forMs = 0, by = hostname(), end, ...filter } = body
    if (end) {
      const last = await traces.end(id)
      count(running.get(id), last)
      finish(id, 'by operator')
      return { ...last, leftMs: 0 }
    }
    if (!running.has(id)) {
      if (running.size >= MOST_TRACES) return refuse(c, 409, `${MOST_TRACES} traces are in force`)
      running.set(id, { begunMs: performance.now(), lines: 0, dropped: 0, timer: undefined })
      log.info({ ...auditOf(caller), by, trace: id, ...filter, forMs }, 'trace begun by operator')
    }
    const trace = running.get(id)
    clearTimeout(trace?.timer)
    const leftMs = Math.round(forMs - performance.now() + (trace?.begunMs ?? 0))
    const told = await (leftMs > 0 ? traces.collect({ id, filter, leftMs }) : traces.end(id)).catch(
      (error: unknown) => {
        finish(id, 'no answer') // it would count as one in force for ever, as its timer is stopped
        throw error
      },
    )
    count(trace, told)
    if (leftMs <= 0) finish(id, 'its time is over')
    else if (trace && running.get(id) === trace) {
      clearTimeout(trace.timer) // of another request that has been answered meanwhile
      trace.timer = setTimeout(() => finish(id, 'no reader'), ABANDONED_MS).unref()
    }
    return { ...told, leftMs: Math.max(0, leftMs) }
  })
}

function count(trace: Running | undefined, { lines, dropped }: TraceAnswer): void {
  if (!trace) return
  trace.lines += lines.length
  trace.dropped += dropped
}
