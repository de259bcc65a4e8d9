/** Whether two parts of the settings have the same content. Pure. */
import { Secret } from '../secret.ts'

/** Compares plain data, Maps, Sets, Secrets and URLs. A table of users has its own comparison, which takes longer (`users-changed.ts`). */
export function isSameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Secret || b instanceof Secret)
    return a instanceof Secret && b instanceof Secret && a.reveal() === b.reveal()
  if (a instanceof URL || b instanceof URL) return a instanceof URL && b instanceof URL && a.href === b.href
  if (a instanceof Map || b instanceof Map) return a instanceof Map && b instanceof Map && isSameMap(a, b)
  if (a instanceof Set || b instanceof Set) return a instanceof Set && b instanceof Set && isSameList([...a], [...b])
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && isSameList(a, b)
  return isSameMap(new Map(Object.entries(a)), new Map(Object.entries(b)))
}

function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((one, index) => isSameValue(one, b[index]))
}

/** A key without a value is the same as no key. */
function isSameMap(a: ReadonlyMap<unknown, unknown>, b: ReadonlyMap<unknown, unknown>): boolean {
  return [...new Set([...a.keys(), ...b.keys()])].every((key) => isSameValue(a.get(key), b.get(key)))
}
