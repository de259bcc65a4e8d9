/** The lines of a trace of several workers or instances, in the order of their times. Pure. */
import type { TraceAnswer } from '../admin/trace-routes.ts'
import type { Told } from '../instances/asking.ts'
import type { Answer } from './messages.ts'

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
  return {
    // The sort is stable: lines of one session at the same millisecond keep their order.
    lines: each.flatMap(({ lines }) => lines).sort((a, b) => a.atMs - b.atMs),
    dropped: each.reduce((sum, { dropped }) => sum + dropped, 0),
    ...(each.some(({ refused }) => refused) && { refused: true as const }),
  }
}
