/**
 * What is wrong with a configuration, and where: a file, a line, a column, and the line itself with a caret under it.
 * Knows nothing of YAML or of what the settings mean.
 */
import { printable, printableLine } from '../../printable.ts'
import { hideSecretValues } from './secret-values.ts'

/** Where something stands in a file. Line and column count from 1, as editors do. */
export type Spot = { line: number; column: number; length: number; text: string }

/** `spot` is undefined where the trouble is the file itself: absent, unreadable, not text. */
export type Problem = { severity: 'error' | 'warning'; file: string; spot: Spot | undefined; message: string }

/** Mistakes of one kind that are kept. More of them say no more: one slip in a template may repeat in each of 50,000 lines. */
const MOST_PROBLEMS = 100

export type Problems = {
  error: (file: string, spot: Spot | undefined, message: string) => void
  warn: (file: string, spot: Spot | undefined, message: string) => void
  hasErrors: () => boolean
  /** every problem once, by place, the files in the order in which they were first named; of each severity the first that were told */
  list: () => Problem[]
  /** how many there are besides */
  more: () => Record<Problem['severity'], number>
}

export function createProblems(): Problems {
  // A key of an anchored map is met once for each alias of it; it is one mistake, and is told once.
  const seen = new Map<string, Problem>()
  const kept = { error: 0, warning: 0 }
  const more = { error: 0, warning: 0 }

  function add(problem: Problem): void {
    const { severity, spot } = problem
    const place = spot === undefined ? '' : `${spot.line}:${spot.column}`
    const id = JSON.stringify([problem.file, place, severity, problem.message])
    if (seen.has(id)) return
    if (kept[severity] >= MOST_PROBLEMS) {
      more[severity]++
      return
    }
    kept[severity]++
    seen.set(id, problem)
  }

  return {
    error: (file, spot, message) => add({ severity: 'error', file, spot, message }),
    warn: (file, spot, message) => add({ severity: 'warning', file, spot, message }),
    hasErrors: () => kept.error > 0,
    more: () => more,
    list: () => {
      const problems = [...seen.values()]
      const files = new Map<string, number>()
      for (const { file } of problems) if (!files.has(file)) files.set(file, files.size)
      return problems.sort(
        (a, b) =>
          (files.get(a.file) ?? 0) - (files.get(b.file) ?? 0) ||
          (a.spot?.line ?? 0) - (b.spot?.line ?? 0) ||
          (a.spot?.column ?? 0) - (b.spot?.column ?? 0),
      )
    },
  }
}

/** Longer lines are shown as a window about the caret: a whole file may stand on one line. */
const SHOWN_COLUMNS = 160
/** Characters of a message. The text that it quotes may be as long as a value may be. */
const SHOWN_MESSAGE = 500

/**
 * A problem as lines for a terminal: `file:line:column: error: message`, then the line of the file, then the caret.
 * No password that stands in a URL or under its own key is shown: the file's text has no types, so here patterns must do.
 */
export function formatProblem(problem: Problem): string[] {
  const { spot, severity } = problem
  const file = printable(problem.file)
  const message = formatMessage(problem)
  if (spot === undefined) return [`${file}: ${severity}: ${message}`]

  const caret = spot.column - 1
  const from = caret < SHOWN_COLUMNS - 20 ? 0 : caret - SHOWN_COLUMNS / 2
  const shown = printableLine(cutOut(spot.text, from, from + SHOWN_COLUMNS), '?')
  // Tabs are kept before the caret, so that it stands right whatever their width.
  const indent = shown.slice(0, caret - from).replace(/[^\t]/gu, ' ')
  const length = Math.max(1, Math.min(spot.length, shown.length - (caret - from)))
  return [
    `${file}:${spot.line}:${spot.column}: ${severity}: ${message}`,
    shown,
    `${indent.padEnd(caret - from)}^${'~'.repeat(length - 1)}`,
  ]
}

/** The message alone, without passwords. */
export function formatMessage({ message }: Pick<Problem, 'message'>): string {
  return printable(shorten(hidePasswords(message)))
}

/** How far from the window a word is followed to its ends, in characters. A value has at most 4,096. */
const WORD_REACH = 8192

/** Part of a line, with passwords hidden: the words at its edges are seen as a whole, as a URL may begin before the window. */
function cutOut(line: string, from: number, to: number): string {
  const [first, last] = [Math.max(0, from - WORD_REACH), Math.min(line.length, to + WORD_REACH)]
  let start = from
  while (start > first && !isSpace(line, start - 1)) start--
  let end = Math.min(to, line.length)
  while (end < last && !isSpace(line, end)) end++
  const part = hideSecretValues(line.slice(first, last)).slice(start - first, end - first)
  // A word without an end in reach may be a URL that began before: nothing of it is shown.
  const cut = start === first && start > 0
  const safe = cut ? part.replace(/^\S+/u, (word) => '*'.repeat(word.length)) : part
  return hidePasswords(safe).slice(from - start, to - start)
}

function isSpace(text: string, at: number): boolean {
  return /\s/u.test(text.charAt(at))
}

/**
 * Everything between `//` and the last `@` of a word, character for character, so that columns stay true.
 * The name of a variable is no secret, and is what a message is likely to be about. Linear: each word is searched once from each end.
 */
function hidePasswords(text: string): string {
  return text.replace(/\S+/gu, (word) => {
    const from = word.indexOf('://') + '://'.length
    const to = word.lastIndexOf('@')
    if (from < '://'.length || to <= from) return word
    const hidden = word
      .slice(from, to)
      .replace(/\$\{\w+\}|[^:]/gu, (part) => (part.length > 2 ? part : '*'.repeat(part.length)))
    return word.slice(0, from) + hidden + word.slice(to)
  })
}

function shorten(message: string): string {
  return message.length <= SHOWN_MESSAGE ? message : `${message.slice(0, SHOWN_MESSAGE)}…`
}

/** No name that mailmux knows is longer: `parseName` allows 64. Comparing takes the product of two lengths. */
const LONGEST_NAME = 64

/** ` (did you mean "x"?)` for the nearest known name, or nothing where none is near. */
export function didYouMean(name: string, known: Iterable<string>): string {
  if (name.length > LONGEST_NAME) return ''
  let best: string | undefined
  // One slip in three letters: more would suggest names that have nothing in common.
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    if (Math.abs(candidate.length - name.length) >= bestDistance) continue
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase(), bestDistance)
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best === undefined ? '' : ` (did you mean "${best}"?)`
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; `most` where they are no fewer. */
function editDistance(a: string, b: string, most: number): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const replace = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      let least = Math.min(replace, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1)
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        least = Math.min(least, (before[column - 2] ?? 0) + 1)
      }
      current.push(least)
    }
    // A swap reaches back two rows, so that both count.
    if (Math.min(...current) >= most && Math.min(...previous) >= most) return most
    before = previous
    previous = current
  }
  return previous[b.length] ?? 0
}
