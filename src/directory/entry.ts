/** What a directory stores of a user. */
import type { Octets } from '../octets.ts'
import type { Secret } from '../secret.ts'

export type DirectoryEntry = {
  backend: string
  login: string | undefined
  status: 'active' | 'hold' | 'disabled'
  /** of a `hold` by a program that may end without taking it back; undefined for the hold of an operator, which has no end */
  hold?: Hold
  /** replaces the user's password at the back end; from a directory that has checked the user's own */
  password?: Secret<Octets>
}

/** `token` tells one hold from another. The hold ends by itself after `untilMs`, in milliseconds of the epoch. */
export type Hold = { token: string; untilMs: number }

/** Whether a user with this entry is on hold at this moment of the epoch. */
export function isOnHold({ status, hold }: Pick<DirectoryEntry, 'status' | 'hold'>, epochMs: number): boolean {
  return status === 'hold' && (hold === undefined || epochMs < hold.untilMs)
}

/**
 * Whether the hold of a remembered entry has run out since the entry was read. The program that holds the user may have renewed it or
 * switched the route meanwhile, so that the entry says nothing of the route any more.
 */
export function hasHoldRunOut(entry: Pick<DirectoryEntry, 'status' | 'hold'>, ageMs: number, epochMs: number): boolean {
  return isOnHold(entry, epochMs - ageMs) && !isOnHold(entry, epochMs)
}

/** An entry in words. Bounded, because other programs write to the store. */
export function describeEntry({ backend, login, status, hold }: DirectoryEntry): string {
  const words = [JSON.stringify(backend.slice(0, 80)).slice(1, -1)]
  if (login !== undefined) words.push(`login ${JSON.stringify(login.slice(0, 80)).slice(1, -1)}`)
  if (status !== 'active') words.push(hold ? `${status} until ${new Date(hold.untilMs).toISOString()}` : status)
  return words.join(', ')
}
