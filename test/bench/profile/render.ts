/** The tables "what a login costs": of profiles and counts of mailmux and of the minimal relay. */
import { alignTable, show } from '../render.ts'
import { BUN_PROGRAM, CAUSES, COMPILED, DEPENDENCIES, NO_FOLDER, OTHER } from './causes.ts'
import type { Counts } from './count.ts'
import type { Profile } from './record.ts'

/** One kind of login, of the relay and of mailmux. */
export type Pair<Value> = { title: string; bare: Value; mailmux: Value }

/** How far the sum of the rows may be from the difference that the kernel has counted. */
export const TOLERANCE = 0.1

const sumOf = ({ causes }: Profile): number => sum([...causes.values()])

function differences(pairs: Pair<number>[]): string[] {
  return pairs.flatMap(({ bare, mailmux }) => [show(bare), show(mailmux), show(mailmux - bare)])
}

function headerOf(first: string, pairs: Pair<unknown>[]): string[] {
  return [first, ...pairs.flatMap(({ title }) => [`${title}: bare`, 'mailmux', 'difference'])]
}

/** In the order of the table; folders by name. */
function listCauses(pairs: Pair<Profile>[]): string[] {
  const found = new Set(pairs.flatMap(({ bare, mailmux }) => [...bare.causes.keys(), ...mailmux.causes.keys()]))
  const folders = [...found].filter((name) => name.startsWith('mailmux: ')).toSorted()
  const order = [...CAUSES, BUN_PROGRAM, COMPILED, 'the relay itself', ...folders, DEPENDENCIES, OTHER]
  return order.filter((name) => found.has(name))
}

export type Sum = { title: string; rowsUs: number; countedUs: number; isWithin: boolean }

/** The sum of the rows, beside the difference that the kernel has counted in the same intervals. */
export function addUp(pairs: Pair<Profile>[]): Sum[] {
  return pairs.map(({ title, bare, mailmux }) => {
    const rowsUs = sumOf(mailmux) - sumOf(bare)
    const countedUs = mailmux.countedUs - bare.countedUs
    return { title, rowsUs, countedUs, isWithin: Math.abs(rowsUs - countedUs) <= TOLERANCE * Math.abs(countedUs) }
  })
}

/** µs of a login by cause, from samples; the last lines have the processor time that the kernel has counted. */
export function causeTable(pairs: Pair<Profile>[]): string[] {
  const rowOf = (cause: string): Pair<number>[] =>
    pairs.map(({ title, bare, mailmux }) => ({
      title,
      bare: bare.causes.get(cause) ?? 0,
      mailmux: mailmux.causes.get(cause) ?? 0,
    }))
  const lines = listCauses(pairs).map((cause) => [cause, ...differences(rowOf(cause))])
  const totals = (of: (profile: Profile) => number): string[] =>
    differences(pairs.map(({ title, bare, mailmux }) => ({ title, bare: of(bare), mailmux: of(mailmux) })))
  return alignTable([
    headerOf('µs of one login', pairs),
    ...lines,
    ['sum of the rows', ...totals(sumOf)],
    ['counted by the kernel', ...totals(({ countedUs }) => countedUs)],
    ['counted without a profile', ...totals(({ withoutProfileUs }) => withoutProfileUs)],
  ])
}

/** µs of a login by the folder whose function had it done, with all that it called: the kernel, V8 and OpenSSL included. */
export function callerTable(pairs: Pair<Profile>[]): string[] {
  const usIn = (folder: string): number[] => pairs.map(({ mailmux }) => mailmux.callers.get(folder) ?? 0)
  const found = [...new Set(pairs.flatMap(({ mailmux }) => [...mailmux.callers.keys()]))]
  const sorted = found.toSorted((a, b) => sum(usIn(b)) - sum(usIn(a))).filter((folder) => folder !== NO_FOLDER)
  const lines = [...sorted, NO_FOLDER].map((folder) => [folder, ...usIn(folder).map(show)])
  return alignTable([['µs of one login, mailmux', ...pairs.map(({ title }) => title)], ...lines])
}

/** What a login allocates and calls. */
export function countTable(pairs: Pair<Counts>[]): string[] {
  const names = [...new Set(pairs.flatMap(({ bare, mailmux }) => [...Object.keys(bare), ...Object.keys(mailmux)]))]
  const lines = names
    .toSorted()
    .map((name) => [
      name,
      ...differences(
        pairs.map(({ title, bare, mailmux }) => ({ title, bare: bare[name] ?? 0, mailmux: mailmux[name] ?? 0 })),
      ),
    ])
  return alignTable([headerOf('of one login', pairs), ...lines])
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
