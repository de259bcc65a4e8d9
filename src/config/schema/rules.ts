/**
 * Rules between the keys of one map, as data. Each is declared beside the key that it is about, and check/rules.ts evaluates
 * all of them in one pass. A rule that also needs another map, or the content of a file, is a function in check/.
 */
import { z } from 'zod'

/** The key is in the file, with any value. */
export const WRITTEN = Symbol('written')
/** The key is not in the file. */
export const ABSENT = Symbol('absent')

/** Values, or a predicate. A predicate gets undefined for a value that is already found wrong; values never match it. */
type Test = typeof WRITTEN | typeof ABSENT | readonly (string | number | boolean)[] | ((value: never) => boolean)

/** Holds where every key named here passes its test. Keys that are not written have their defaults. */
export type Condition = Readonly<Record<string, Test>>

/** `at` is what the caret shows: the key, unless the value says which of several it is. */
export type Rule = { when: Condition; message: string | ((key: string) => string); at?: 'key' | 'value' }

/** `key` must be written, and not as an empty list, where `when` holds. */
type Need = Omit<Rule, 'when'> & { key: string; when?: Condition }

export type KeyRules = {
  /** Where the key has no effect. Only the first that holds is reported, and `needs` is then not evaluated. */
  uselessWith?: readonly Rule[]
  needs?: readonly Need[]
}

/** Rules of a key that is written, by the schema of its value. Register last: `optional()` and its like return another schema. */
export const keyRules = z.registry<KeyRules>()

/** What a map as a whole must not be, by its schema. */
export const mapRules = z.registry<{ wrong: readonly Omit<Rule, 'at'>[] }>()

export function otherThan(...values: readonly unknown[]): (value: unknown) => boolean {
  return (value) => value !== undefined && !values.includes(value)
}

export function isUnderstood(value: unknown): boolean {
  return value !== undefined
}
