/** What a report of Stryker says, as a table and as a list. Pure. */

type Mutant = {
  status: 'Killed' | 'Timeout' | 'Survived' | 'NoCoverage' | 'CompileError' | 'RuntimeError' | 'Ignored' | 'Pending'
  statusReason?: string
  mutatorName: string
  replacement?: string
  location: { start: Position; end: Position }
}
type Position = { line: number; column: number }

/** The part of mutation-testing-report-schema that is used here. Lines and columns count from 1. */
export type Report = { files: Record<string, { source: string; mutants: Mutant[] }> }

/** The rows of a table: one for each file, where there are several, and the last one for all of them. Mutants that do not compile do not count. */
export function summarize(place: string, { files }: Report): string[][] {
  const rows = Object.entries(files).map(([path, { mutants }]) => rowOf(path.replace('src/', ''), mutants))
  const all = rowOf(
    place,
    Object.values(files).flatMap(({ mutants }) => mutants),
  )
  return [
    ['', 'mutants', 'killed', 'of them hung', 'survived', 'not reached', '%'],
    ...(rows.length === 1 ? [] : rows),
    all,
  ]
}

function rowOf(name: string, mutants: readonly Mutant[]): string[] {
  const count = (...statuses: Mutant['status'][]): number =>
    mutants.filter(({ status }) => statuses.includes(status)).length
  // A mutant that never ends, as its loop lost the condition, has been noticed.
  const hung = count('Timeout')
  const killed = count('Killed') + hung
  const [survived, unreached] = [count('Survived'), count('NoCoverage')]
  const total = killed + survived + unreached
  const percent = total === 0 ? '' : ((100 * killed) / total).toFixed(0)
  return [name, ...[total, killed, hung, survived, unreached].map(String), percent]
}

/** A line for each mutant that no test noticed: where it is, and what became of what. */
export function listMissed({ files }: Report): string {
  return Object.entries(files)
    .flatMap(([path, { source, mutants }]) =>
      mutants
        .filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
        .map(({ status, location, mutatorName, replacement = '' }) => {
          const before = cut(source, location)
          const reach = status === 'Survived' ? '' : ' (not reached)'
          return `${path}:${location.start.line}${reach} ${mutatorName}: ${shorten(before)}  ->  ${shorten(replacement)}\n`
        }),
    )
    .join('')
}

function cut(source: string, { start, end }: Mutant['location']): string {
  const lines = source.split('\n').slice(start.line - 1, end.line)
  const last = lines.length - 1
  return lines
    .map((line, index) => line.slice(index === 0 ? start.column - 1 : 0, index === last ? end.column - 1 : undefined))
    .join('\n')
}

/** One line of the list stays readable on a terminal. */
const SHORT = 120

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length > SHORT ? `${line.slice(0, SHORT)}…` : line
}
