/**
 * `SAMPLE=20` tests a fifth of the mutants of a module. The choice depends on the hash of a mutant's place and replacement alone: it is the same
 * in each run, it favours no kind of mutant, and a sample of 20 % is a part of the sample of 40 %. `SEED=2` chooses other mutants: a sample whose
 * survivors have been answered by tests says nothing of the rest.
 *
 * Stryker loads this file as a plugin. A checker is its one hook that refuses single mutants: an `ignorer` refuses a whole syntax tree, and
 * the sample would lose the mutants that empty a block. The report calls a refused mutant a CompileError, with OUTSIDE as the reason.
 */
import { createHash } from 'node:crypto'

/** The part of Stryker's Mutant that is used here. */
type Mutant = {
  id: string
  fileName: string
  mutatorName: string
  replacement: string
  location: { start: { line: number; column: number } }
}
type Verdict = { status: 'passed' } | { status: 'compileError'; reason: string }

/** Without a seed, places are hashed as they are. */
const SEED = process.env.SEED ? [process.env.SEED] : []

export const OUTSIDE = 'outside of the sample'

/** @param percent of all mutants */
export function isInSample(place: string, percent: number): boolean {
  const share = createHash('sha256').update(place).digest().readUInt32BE() / 2 ** 32
  return share * 100 < percent
}

function judge(mutants: readonly Mutant[], percent: number): Record<string, Verdict> {
  return Object.fromEntries(
    mutants.map(({ id, fileName, mutatorName, replacement, location: { start } }) => {
      // Sandboxes have paths of their own; the path from src/ on is the same in each.
      const path = fileName.slice(fileName.lastIndexOf('/src/'))
      const place = [...SEED, path, start.line, start.column, mutatorName, replacement].join(':')
      return [id, isInSample(place, percent) ? { status: 'passed' } : { status: 'compileError', reason: OUTSIDE }]
    }),
  )
}

const checker = {
  init: (): Promise<void> => Promise.resolve(),
  group: (mutants: readonly Mutant[]): Promise<string[][]> => Promise.resolve([mutants.map(({ id }) => id)]),
  check: (mutants: readonly Mutant[]): Promise<Record<string, Verdict>> =>
    Promise.resolve(judge(mutants, Number(process.env.SAMPLE))),
}

export const strykerPlugins = [{ kind: 'Checker', name: 'sample', value: checker }]
