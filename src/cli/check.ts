/**
 * `mailmux check`: every mistake in the configuration, before anything is reloaded or restarted, and with a probe what is wrong with the
 * servers and ports that it names. Speaks to no running mailmux.
 */
import { loadWithPlaces, type Locate } from '../config/load.ts'
import { createProblems, formatProblem, type Problem } from '../config/yaml/problems.ts'
import type { Settings } from '../config/settings.ts'
import type { Environment } from '../config/yaml/variables.ts'
import type { Finding, Probed } from '../inspect/findings.ts'
import { printable } from '../printable.ts'

/** Looks at the servers and ports of a configuration without errors. */
export type Probe = (settings: Settings) => Promise<Probed>

/**
 * @param configFile path of mailmux.yaml, as typed; the messages name it that way
 * @param out takes one line, without its end
 * @param probe undefined: nothing is asked for
 * @param options `isStrict`: a warning is an error
 * @returns the exit code: 0 where the configuration would be taken and the probe finds no error (warnings or not), else 1
 */
export async function check(
  configFile: string,
  env: Environment,
  out: (line: string) => void,
  probe?: Probe,
  { isStrict = false }: { isStrict?: boolean } = {},
): Promise<number> {
  const { settings, locate, ...loaded } = loadWithPlaces(configFile, env)
  const probed = settings && (await probe?.(settings))
  const { problems, more } = withFindings(loaded, probed?.findings ?? [], locate)
  for (const problem of problems) for (const line of formatProblem(problem)) out(line)
  if (more.error > 0) out(`and ${count(more.error, 'more error')}`)
  if (more.warning > 0) out(`and ${count(more.warning, 'more warning')}`)
  for (const note of probed?.notes ?? []) out(note)
  const shown = problems.filter(({ severity }) => severity === 'error').length
  const errors = shown + more.error
  const warnings = problems.length - shown + more.warning
  const also = warnings === 0 ? '' : `, ${count(warnings, 'warning')}`

  if (settings === undefined || errors > 0 || (isStrict && warnings > 0)) {
    // A single error about a whole file is one line already, and needs no sum.
    if (problems.some(({ spot }) => spot !== undefined)) out(`${count(errors, 'error')}${also}`)
    if (settings !== undefined && errors === 0) out('--strict: warnings are errors')
    return 1
  }
  const { listeners, routing } = settings
  const sums = [
    count(listeners.length, 'listener'),
    count(routing.backends.size, 'back end'),
    count(routing.users.size, 'user'),
  ]
  out(`${printable(configFile)}: OK (${sums.join(', ')}${also})`)
  return 0
}

type Shown = { problems: Problem[]; more: Record<Problem['severity'], number> }

/** The findings among the problems of the files, each at its place. */
function withFindings({ problems, more }: Shown, findings: readonly Finding[], locate: Locate): Shown {
  if (findings.length === 0) return { problems, more }
  const all = createProblems()
  const add = ({ severity, file, spot, message }: Problem): void =>
    (severity === 'error' ? all.error : all.warn)(file, spot, message)
  problems.forEach(add)
  for (const which of ['main', 'routing'] as const) {
    for (const { path, severity, message } of findings.filter((finding) => finding.which === which))
      add({ severity, message, ...locate(which, path, 'key') })
  }
  const others = all.more()
  return {
    problems: all.list(),
    more: { error: more.error + others.error, warning: more.warning + others.warning },
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
