/** The lines of a trace of several workers or instances, in the order of their times. Pure. */
import type { TraceAnswer } from '../admin/trace-routes.ts'
import type { Told } from '../instances/asking.ts'
import type { Answer } from './messages.ts'

/** Of one answer. With 400 characters each, of which JSON escapes some, they stay far below the 10 MB that the command takes. */
export const MOST_LINES = 5000

type Line = TraceAnswer['lines'][number]

export function mergeTraces(workers: readonly { worker: number; told: Answer['trace'] | undefined }[]): TraceAnswer {
  const incomplete = workers.filter(({ told }) => !told).map(({ worker }) => worker)
  const told = workers.flatMap(({ told }) => told ?? [])
  return { ...merge(told), ...(incomplete.length > 0 && { incomplete }) }
}

/** Each line has the name of its instance if there are several. */
export function mergeTracesOf({ answers, scope, incomplete: why, silent, lost }: Told<TraceAnswer>): TraceAnswer {
  const isAlone = scope === 'instance' && answers.length === 1
  const each = answers.map(({ instance, answer }) =>
    isAlone ? answer : { ...answer, lines: answer.lines.map((line) => ({ ...line, instance })) },
  )
  const incomplete = answers.flatMap(({ answer }) => answer.incomplete ?? [])
  return {
    ...merge(each),
    ...(incomplete.length > 0 && { incomplete }),
    scope,
    ...(why !== undefined && { why }),
    ...(silent.length > 0 && { silent }),
    ...(lost.length > 0 && { lost }),
  }
}

function merge(
  each: readonly { lines: readonly Line[]; dropped: number; refused?: true | undefined }[],
): Pick<TraceAnswer, 'lines' | 'dropped' | 'refused'> {
  // The sort is stable: lines of one session at the same millisecond keep their order.
  const all = each.flatMap(({ lines }) => lines).sort((a, b) => a.atMs - b.atMs)
  const over = Math.max(0, all.length - MOST_LINES)
  return {
    lines: over > 0 ? all.slice(0, MOST_LINES) : all,
    dropped: each.reduce((sum, { dropped }) => sum + dropped, over),
    ...(each.some(({ refused }) => refused) && { refused: true as const }),
  }
}
