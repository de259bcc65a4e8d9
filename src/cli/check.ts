/** `mailmux check`: every mistake in the configuration, before anything is reloaded or restarted. Speaks to no running mailmux. */
import { loadConfig } from '../config/load.ts'
import { formatProblem } from '../config/problems.ts'
import type { Environment } from '../config/variables.ts'
import { printable } from '../printable.ts'

/**
 * @param configFile path of mailmux.yaml, as typed; the messages name it that way
 * @param out takes one line, without its end
 * @returns the exit code: 0 where the configuration would be taken (warnings or not), else 1
 */
export function check(configFile: string, env: Environment, out: (line: string) => void): Promise<number> {
  const { settings, problems, more } = loadConfig(configFile, env)
  for (const problem of problems) for (const line of formatProblem(problem)) out(line)
  if (more.error > 0) out(`and ${count(more.error, 'more error')}`)
  if (more.warning > 0) out(`and ${count(more.warning, 'more warning')}`)
  const shown = problems.filter(({ severity }) => severity === 'error').length
  const errors = shown + more.error
  const warnings = problems.length - shown + more.warning
  const also = warnings === 0 ? '' : `, ${count(warnings, 'warning')}`

  if (settings === undefined) {
    // A single error about a whole file is one line already, and needs no sum.
    if (problems.some(({ spot }) => spot !== undefined)) out(`${count(errors, 'error')}${also}`)
    return Promise.resolve(1)
  }
  const { listeners, routing } = settings
  const sums = [
    count(listeners.length, 'listener'),
    count(routing.backends.size, 'back end'),
    count(routing.users.size, 'user'),
  ]
  out(`${printable(configFile)}: OK (${sums.join(', ')}${also})`)
  return Promise.resolve(0)
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
