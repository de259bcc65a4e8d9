/** The question for a trace that instances answer each other. */
import { z } from 'zod'
import { traceAnswer, traceForm, type TraceAnswer, type TraceOrders } from '../admin/trace-routes.ts'
import type { Instances } from '../instances/instances.ts'
import type { Log } from '../log.ts'
import { withElders } from './generation/elders.ts'
import type { GenerationAnswers } from './generation/messages.ts'
import { mergeTracesOf } from './merge-traces.ts'
import type { WorkerPool } from './worker-pool.ts'

const { id, ...filterForm } = traceForm

const traceQuestion = z.strictObject({
  kind: z.literal('trace'),
  id,
  /** absent: the trace ends */
  order: z
    .strictObject({ filter: z.strictObject(filterForm), leftMs: z.number().int().positive().max(3_600_000) })
    .refine(({ filter }) => Object.values(filter).some((value) => value !== undefined))
    .optional(),
})

/** Traces of other instances whose begin is in the log already. */
const MOST_KNOWN = 64

/** @param own of this instance. @returns the same of all instances */
export function askForTraces(
  { name, register }: Pick<Instances, 'name' | 'register'>,
  own: WorkerPool['trace'],
  log: Log,
  elders: Pick<GenerationAnswers, 'trace'>,
): TraceOrders {
  const known = new Set<string>()
  const ask = register({
    kind: 'trace',
    question: traceQuestion,
    answer: traceAnswer,
    handle({ id, order }, from): Promise<TraceAnswer> {
      // The instance that the operator has asked writes its own line, with the operator's address.
      if (from !== name && order && !known.has(id)) {
        if (known.size >= MOST_KNOWN) known.clear()
        known.add(id)
        log.info({ from, trace: id, ...order.filter, leftMs: order.leftMs }, 'trace begun by operator')
      }
      return own(order ? { id, ...order } : { id, ends: true })
    },
    shorten: (answer, share) => {
      const lines = answer.lines.slice(0, answer.lines.length * share)
      return { ...answer, lines, dropped: answer.dropped + answer.lines.length - lines.length }
    },
  })
  return {
    async collect({ id, ...order }) {
      const [told, older] = await Promise.all([ask({ kind: 'trace', id, order }), elders.trace({ id, ...order })])
      return mergeTracesOf(withElders(told, older))
    },
    async end(id) {
      const [told, older] = await Promise.all([ask({ kind: 'trace', id }), elders.trace({ id, ends: true })])
      return mergeTracesOf(withElders(told, older))
    },
  }
}
