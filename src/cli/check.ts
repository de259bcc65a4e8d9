/**
 * `mailmux check`: every mistake in the configuration, before anything is reloaded or restarted, and with a probe what is wrong with the
 * servers and ports that it names. Speaks to no running mailmux.
 */
import { loadWithPlaces, type Locate } from '../config/load.ts'
import { createProblems, formatMessage, formatProblem, type Problem } from '../config/yaml/problems.ts'
import type { Settings } from '../config/settings.ts'
import type { Environment } from '../config/yaml/variables.ts'
import type { Finding, Probed, ProbeGroup } from '../inspect/findings.ts'
import type { ComparisonAnswer } from '../admin/configuration-answers.ts'
import { printable } from '../printable.ts'
import { formatJson, type Terminal } from './ask-running.ts'

/** Looks at the servers and ports of a configuration without errors. */
export type Probe = (settings: Settings) => Promise<Probed>

/** What a check has found. `settings` is undefined if the files have errors, `probed` if nothing was probed. */
export type Checked = {
  configFile: string
  settings: Settings | undefined
  probed: Probed | undefined
  problems: Problem[]
  more: Record<Problem['severity'], number>
  errors: number
  warnings: number
  isStrict: boolean
  isOk: boolean
}

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
  options: { isStrict?: boolean } = {},
): Promise<number> {
  const checked = await examine(configFile, env, probe, options)
  for (const line of formatChecked(checked)) out(line)
  return checked.isOk ? 0 : 1
}

/** The check itself, which prints nothing. Parameters as those of `check`. */
export async function examine(
  configFile: string,
  env: Environment,
  probe?: Probe,
  { isStrict = false }: { isStrict?: boolean } = {},
): Promise<Checked> {
  const { settings, locate, ...loaded } = loadWithPlaces(configFile, env)
  const probed = settings && (await probe?.(settings))
  const { problems, more } = withFindings(loaded, probed?.findings ?? [], locate)
  const shown = problems.filter(({ severity }) => severity === 'error').length
  const errors = shown + more.error
  const warnings = problems.length - shown + more.warning
  const isOk = settings !== undefined && errors === 0 && !(isStrict && warnings > 0)
  return { configFile, settings, probed, problems, more, errors, warnings, isStrict, isOk }
}

function formatChecked({ configFile, settings, probed, problems, more, errors, warnings, isOk }: Checked): string[] {
  const lines = problems.flatMap(formatProblem)
  if (more.error > 0) lines.push(`and ${count(more.error, 'more error')}`)
  if (more.warning > 0) lines.push(`and ${count(more.warning, 'more warning')}`)
  if (probed) lines.push(...probed.notes.map(printable), ...formatGroups(probed.groups))
  const also = warnings === 0 ? '' : `, ${count(warnings, 'warning')}`
  if (settings === undefined || !isOk) {
    // A single error about a whole file is one line already, and needs no sum.
    if (problems.some(({ spot }) => spot !== undefined)) lines.push(`${count(errors, 'error')}${also}`)
    if (settings !== undefined && errors === 0) lines.push('--strict: warnings are errors')
    return lines
  }
  const { listeners, backends, users } = countsOf(settings)
  const sums = [count(listeners, 'listener'), count(backends, 'back end'), count(users, 'user')]
  return [...lines, `${printable(configFile)}: OK (${sums.join(', ')}${also})`]
}

/** Names on one line; the problems above it have them all. */
const MOST_NAMES = 10

function formatGroups(groups: readonly ProbeGroup[]): string[] {
  if (groups.length === 0) return []
  const lines = groups.map(({ group, tested, failed, unclear }) => {
    const results = [...formatNames('failed', failed), ...formatNames('with a warning', unclear)]
    return printable(`probed ${group}: ${tested} tested, ${results.length === 0 ? 'all good' : results.join('; ')}`)
  })
  const sum = (of: (group: ProbeGroup) => number): number => groups.reduce((total, group) => total + of(group), 0)
  const [failed, unclear] = [sum((group) => group.failed.length), sum((group) => group.unclear.length)]
  return [...lines, `probe: ${sum(({ tested }) => tested)} tested, ${failed} failed, ${unclear} with a warning`]
}

function formatNames(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return []
  const others = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : ''
  return [`${names.length} ${what}: ${names.slice(0, MOST_NAMES).join(', ')}${others}`]
}

type Compare = (take: (answer: ComparisonAnswer) => void) => Promise<number>

/**
 * The same as one JSON document.
 * @param options `compare` asks the running mailmux, unless the files have errors
 * @returns the exit code of `check`, or else of `compare`
 */
export async function checkInJson(
  configFile: string,
  { env, out }: Pick<Terminal, 'env' | 'out'>,
  probe: Probe | undefined,
  { isStrict, compare }: { isStrict: boolean; compare: Compare | undefined },
): Promise<number> {
  const checked = await examine(configFile, env, probe, { isStrict })
  let diff: ComparisonAnswer | undefined
  const code = checked.isOk ? ((await compare?.((answer) => (diff = answer))) ?? 0) : 1
  for (const line of formatJson({ ...describeChecked(checked), ...(diff && { diff }) })) out(line)
  return code
}

/** What does not apply is absent. */
function describeChecked({ configFile, settings, probed, problems, more, ...facts }: Checked): object {
  const { errors, warnings, isStrict, isOk } = facts
  return {
    ok: isOk,
    strict: isStrict,
    file: configFile,
    ...(settings && countsOf(settings)),
    errors,
    warnings,
    problems: problems.map((problem) => {
      const { severity, file, spot } = problem
      const place = spot && { line: spot.line, column: spot.column, excerpt: formatProblem(problem).slice(1) }
      return { severity, file, ...place, message: formatMessage(problem) }
    }),
    // A mistake of a template may be in each of 50,000 lines.
    ...(more.error + more.warning > 0 && { notListed: { errors: more.error, warnings: more.warning } }),
    ...(probed && { probe: { groups: probed.groups, notes: probed.notes } }),
  }
}

function countsOf({ listeners, routing }: Settings): { listeners: number; backends: number; users: number } {
  return { listeners: listeners.length, backends: routing.backends.size, users: routing.users.size }
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
