/** Open files: how many this process may have, how many connections that is enough for, and whether there is one left. */
import fs from 'node:fs'
import { readdir } from 'node:fs/promises'
import type { Settings } from '../config/settings.ts'
import { findDescriptorShortage } from '../descriptor-shortage.ts'
import { isShortage, type NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'

/** A session has two: one towards the client, one towards the back end. During a login the second may be the auth server's. */
const FOR_EACH = 2
/**
 * Beside the sessions: the admin HTTP (64), connections that are turned away (32), those to Redis, a Cluster and its Sentinels included,
 * name servers, files that are read or written, the log, the runtime's own.
 */
const BESIDE = 200
/** The connections of Postfix: `MAX_CONNECTIONS` of delivery/delivery.ts. */
const FOR_DELIVERY = 64

/** The settings that need descriptors. */
type Needing = Pick<Settings, 'routing' | 'delivery'>

/**
 * The most files that this process may have open. Node and Bun have raised the soft limit to the hard one when they started.
 * @returns undefined where the system does not tell
 */
export function readDescriptorLimit(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\S+)/m.exec(fs.readFileSync('/proc/self/limits', 'latin1')) ?? []
    return soft === undefined ? undefined : soft === 'unlimited' ? Infinity : Number(soft)
  } catch {
    return undefined // no Linux, or no /proc
  }
}

/**
 * The share of its descriptors that this process has open, by the limit of now: `prlimit` can change it.
 * @returns 1 where none is left to count them with; undefined where the system does not tell, as to a process that has dropped its rights
 */
export async function readDescriptorShare(): Promise<number | undefined> {
  try {
    const open = (await readdir('/proc/self/fd')).length - 1 // one of them reads the directory
    const limit = readDescriptorLimit()
    return limit === undefined ? undefined : open / limit
  } catch (error) {
    return isShortage(error) ? 1 : undefined
  }
}

/**
 * How many connections of clients so many descriptors are enough for, with one more for the check of each address of a back end, and those
 * of the delivery port. Pure. A small limit keeps half of itself for what is beside the sessions.
 */
export function connectionsWithin(descriptors: number, { routing, delivery }: Needing): number {
  const checks = [...routing.backends.values()].reduce((sum, { hosts, ports, srv }) => {
    return sum + Math.max(1, hosts.length) * Object.keys(srv ?? ports).length
  }, 0)
  const beside = Math.min(BESIDE + checks + (delivery ? FOR_DELIVERY : 0), descriptors / 2)
  return Math.max(1, Math.floor((descriptors - beside) / FOR_EACH))
}

export type Capacity = {
  /** the most connections of clients at a time */
  max: () => number
  /** Takes over the limit of new settings, as far as the descriptors are enough for it. */
  configure(settings: Needing & Pick<Settings, 'limits'>): void
}

/** @param descriptors undefined: not known, and then only what is configured is a limit */
export function createCapacity(log: Log, descriptors: number | undefined): Capacity {
  let max = Infinity
  let warnedOf: number | undefined
  return {
    max: () => max,
    configure({ limits: { maxConnections }, routing, delivery }) {
      const possible = descriptors === undefined ? Infinity : connectionsWithin(descriptors, { routing, delivery })
      max = Math.min(maxConnections ?? Infinity, possible)
      const isTooMany = maxConnections !== undefined && maxConnections > possible
      if (isTooMany && warnedOf !== maxConnections) {
        log.warn(
          { maxConnections, openFiles: descriptors, possible },
          'limit of open files too low for max_connections',
        )
      }
      warnedOf = isTooMany ? maxConnections : undefined
    },
  }
}

/**
 * Notes when there is no descriptor left to accept a connection with. libuv then accepts it with one that it has kept aside, closes it,
 * and tells nothing of it (uv__emfile_trick), so that this has to be looked for.
 */
export function lookForDescriptor(noteShortage: NoteShortage): void {
  const code = findDescriptorShortage()
  if (code !== undefined) noteShortage('accept', `no descriptor is left for a connection: ${code}`)
}
