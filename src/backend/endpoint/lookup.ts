/** Looks up the addresses of names and SRV records, by the system's resolver or by configured name servers. Their answers are not trusted. */
import { Resolver } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import { lookupError } from '../../descriptor-shortage.ts'
import { familyOf, isAddress, isLoopbackAddress, isUnspecified } from '../../net/address.ts'
import { createSystemLookup, type SystemLookup } from './system-lookup.ts'

/** The result of a lookup, and how long it is valid. */
export type Found<T> = { readonly records: readonly T[]; readonly ttlMs: number }

/** An SRV record (RFC 2782). */
export type Service = { target: string; port: number; priority: number; weight: number }

export type Lookup = {
  /** The addresses of a name, in the order in which the system would try them. @throws Error with the system's or DNS's code */
  addresses: (name: string) => Promise<Found<string>>
  /** Empty where the domain says that there is no such service (RFC 2782: a target of "."). @throws Error as `addresses` */
  services: (name: string) => Promise<Found<Service>>
}

/** Maximum number of records that are used: more than any mail store has. An answer with a thousand is a mistake or an attack. */
const MOST_RECORDS = 16

const LEAST_TTL_MS = 5000
const MOST_TTL_MS = 300_000
/** Lifetime of results without a TTL: from the hosts file, of names that a search domain completes, and of SRV records, whose TTL Node does not report. */
const UNTOLD_TTL_MS = 30_000

/** A name server that does not answer is asked once more, and the next one then. */
const QUERY_LIMITS = { timeout: 2000, tries: 2 }

/**
 * @param servers `127.0.0.1:53`, `[::1]:53`; none: as the system does it, hosts file and search domains included
 * @param system shared by all back ends of the process
 */
export function createLookup(servers: readonly string[], system: SystemLookup = createSystemLookup()): Lookup {
  const resolver = new Resolver(QUERY_LIMITS)
  if (servers.length > 0) resolver.setServers(servers)

  async function ask(name: string): Promise<{ address: string; ttl: number }[]> {
    const answers = await Promise.allSettled([
      resolver.resolve6(name, { ttl: true }),
      resolver.resolve4(name, { ttl: true }),
    ])
    const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    const [, failure] = answers
    if (records.length === 0 && failure.status === 'rejected') throw lookupError(failure.reason)
    return records
  }

  return {
    async addresses(name) {
      if (servers.length > 0) {
        const records = await ask(name)
        return found(usable(records.map(({ address }) => address)), lifetimeOf(records))
      }
      const [all, told] = await Promise.all([system(name).catch(rethrow), ask(name).catch(() => [])])
      return found(usable(all), lifetimeOf(told))
    },
    async services(name) {
      const records = await resolver.resolveSrv(name).catch(rethrow)
      const services = records.map(({ name: target, port, priority, weight }) => ({ target, port, priority, weight }))
      return found(services.filter(isService), UNTOLD_TTL_MS)
    },
  }
}

function rethrow(error: unknown): never {
  throw lookupError(error)
}

function found<T>(records: readonly T[], ttlMs: number): Found<T> {
  return { records: records.slice(0, MOST_RECORDS), ttlMs }
}

function lifetimeOf(records: readonly { ttl: number }[]): number {
  if (records.length === 0) return UNTOLD_TTL_MS
  return boundedTtl(Math.min(...records.map(({ ttl }) => ttl)) * 1000)
}

/** A TTL of 0 must not make a query of every login, and a day must not keep users away from a server that has moved. */
export function boundedTtl(ttlMs: number): number {
  return Math.min(Math.max(ttlMs, LEAST_TTL_MS), MOST_TTL_MS)
}

/** Whether an SRV record leads anywhere: the target "." says that there is no service (RFC 2782), and port 0 leads nowhere. */
export function isService({ target, port }: Pick<Service, 'target' | 'port'>): boolean {
  return /^[\w-]+(?:\.[\w-]+)*\.?$/u.test(target) && target.length <= 254 && port >= 1 && port <= 65_535
}

function usable(ips: readonly string[]): string[] {
  const families = new Set(
    Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ internal, scopeid }) => !internal && !scopeid)
      .map(({ family }) => (family === 'IPv6' ? 6 : 4)),
  )
  return selectAddresses(ips, families)
}

/**
 * What may be dialled. An unspecified address as a destination is this machine, and no DNS answer may lead there by that name.
 * @param families those that this machine has beyond loopback: an address of another one could only fail
 * @throws Error where there are unspecified addresses and no others: a failed lookup, which leaves what was known before in use
 */
export function selectAddresses(ips: readonly string[], families: ReadonlySet<number>): string[] {
  const all = [...new Set(ips)].filter((ip) => isAddress(ip))
  const valid = all.filter((ip) => !isUnspecified(ip))
  if (valid.length === 0 && all[0] !== undefined) throw new Error(`leads to ${all[0]}, which ${UNSPECIFIED_MEANING}`)
  const reachable = valid.filter((ip) => families.has(familyOf(ip) ?? 0) || isLoopbackAddress(ip))
  return reachable.length > 0 ? reachable : valid
}

export const UNSPECIFIED_MEANING = 'means every address of this machine'
