/** What an answer about all instances does not contain, in words for the operator. */
import type { SessionsAnswer } from '../admin/answers.ts'
import type { Terminal } from './ask-running.ts'

type Coverage = Pick<SessionsAnswer, 'incomplete' | 'scope' | 'why' | 'silent' | 'lost'> & {
  instances?: { instance: string; incomplete?: number[] | undefined }[] | undefined
}

/** @returns the end of a line that names the only instance that was asked; empty if all were */
export function formatScope({ scope, why }: Pick<Coverage, 'scope' | 'why'>): string {
  if (scope !== 'instance') return ''
  return `; only this instance is asked${why === undefined ? '' : `: ${why}`}`
}

/**
 * Names each worker and each instance that did not answer.
 * @param before the name of the command
 * @param consequence of a missing answer
 * @returns the exit code: 1 if one is missing
 */
export function reportMissing(answer: Coverage, before: string, consequence: string, { printError }: Terminal): number {
  const lines = missingIn(answer)
  for (const line of lines) printError(`${before}: ${line}: ${consequence}`)
  if (answer.scope === 'partial') printError(`${before}: other instances may be missing: ${answer.why ?? 'unknown'}`)
  return lines.length > 0 || answer.scope === 'partial' ? 1 : 0
}

function missingIn({ incomplete = [], instances = [], silent = [], lost = [] }: Coverage): string[] {
  return [
    ...incomplete.map((worker) => `worker ${worker} did not answer`),
    ...instances.flatMap(({ instance, incomplete: workers = [] }) =>
      workers.map((worker) => `worker ${worker} of ${instance} did not answer`),
    ),
    ...silent.map((instance) => `${instance} did not answer`),
    ...lost.map((instance) => `${instance} has no heartbeat, and did not stop in order`),
  ]
}
