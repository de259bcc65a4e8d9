/** Finds what a new routing file lacks compared with the one in force: a file that is half written is usually valid YAML. */
import { setImmediate } from 'node:timers/promises'
import type { RoutingSettings } from '../config/settings.ts'

/** A tenth: an operator usually removes single users, while a half-written file may lack any part of them. */
const MOST_LOST_SHARE = 0.1

/** Names that are compared in one turn of the event loop: about 3 ms. */
const NAMES_A_TURN = 1000

export type Losses = {
  /** number of users in the file in force, and how many of them the new one lacks */
  users?: { before: number; lost: number }
  domains?: { before: number; lost: number }
  /** back ends of the file in force that the new one lacks */
  backends?: string[]
}

/**
 * A million users take a second, so it returns to the event loop regularly.
 * @returns undefined if no back end is lost, and at most a tenth of the users and of the domains
 */
export async function findLosses(before: RoutingSettings, after: RoutingSettings): Promise<Losses | undefined> {
  const users = await countLost(before.users, after.users)
  const domains = await countLost(before.domains, after.domains)
  const backends = [...before.backends.keys()].filter((name) => !after.backends.has(name))
  if (!users && !domains && backends.length === 0) return undefined
  return { ...(users && { users }), ...(domains && { domains }), ...(backends.length > 0 && { backends }) }
}

type Names = { readonly size: number; keys(): Iterable<string>; has(name: string): boolean }

async function countLost(before: Names, after: Names): Promise<{ before: number; lost: number } | undefined> {
  let lost = 0
  let done = 0
  for (const key of before.keys()) {
    if (!after.has(key)) lost++
    if (++done % NAMES_A_TURN === 0) await setImmediate()
  }
  return lost > before.size * MOST_LOST_SHARE ? { before: before.size, lost } : undefined
}

/** The losses as text, for the log and for `explain`. */
export function describeLosses({ users, domains, backends }: Losses): string {
  const parts = [
    ...(users ? [`${users.lost} of ${users.before} users`] : []),
    ...(domains ? [`${domains.lost} of ${domains.before} domains`] : []),
    ...(backends ? [`the back ${backends.length === 1 ? 'end' : 'ends'} ${backends.join(', ')}`] : []),
  ]
  return `it lacks ${parts.join(' and ')} of the file in force`
}
