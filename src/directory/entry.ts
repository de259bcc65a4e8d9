/** What a directory stores of a user. */
import type { Octets } from '../octets.ts'
import type { Secret } from '../secret.ts'

export type DirectoryEntry = {
  backend: string
  login: string | undefined
  status: 'active' | 'hold' | 'disabled'
  /** replaces the user's password at the back end; from a directory that has checked the user's own */
  password?: Secret<Octets>
}

/** An entry in words. Bounded, because other programs write to the store. */
export function describeEntry({ backend, login, status }: DirectoryEntry): string {
  const words = [JSON.stringify(backend.slice(0, 80)).slice(1, -1)]
  if (login !== undefined) words.push(`login ${JSON.stringify(login.slice(0, 80)).slice(1, -1)}`)
  if (status !== 'active') words.push(status)
  return words.join(', ')
}
