/**
 * Where a back end can be reached: what its configuration names, as addresses with ports in the order in which to try them.
 * Pure, except for the lookup, which is given to it. Known addresses stay if a lookup fails.
 */
import type { BackendSettings, ProtocolName } from '../../config/settings.ts'
import { systemCode } from '../../errors.ts'
import { familyOf, hostPort, isAddress, isUnspecified } from '../../net/address.ts'
import { boundedTtl, UNSPECIFIED_MEANING, type Found, type Lookup, type Service } from './lookup.ts'

/** One place where a back end can be reached. */
export type Address = {
  /** the name or address that led here: of the configuration, or the target of an SRV record */
  readonly host: string
  /** what is dialled */
  readonly ip: string
  readonly port: number
  readonly source: 'address' | 'name' | 'srv'
  /** those of a lower one are tried first */
  readonly rank: number
  /** the share of users among those of one rank */
  readonly weight: number
}

/** What the names of one back end led to when they were last looked up. */
export type Known = {
  readonly hosts: ReadonlyMap<string, Found<string>>
  readonly services: ReadonlyMap<string, Found<Service>>
}

export const NOTHING_KNOWN: Known = { hosts: new Map(), services: new Map() }

/** The result of one round of lookups. */
export type Round = {
  known: Known
  /** after which to ask again */
  ttlMs: number
  /** names that could not be looked up, and why; what was known of them stays */
  failures: { name: string; cause: string }[]
}

/** After a failure: soon, as it may have been the first lookup; not at once, as the name server may be overloaded. */
const AGAIN_MS = 5000

export function hasNames({ hosts, srv }: BackendSettings): boolean {
  return srv !== undefined || hosts.some((host) => !isAddress(host))
}

/** Looks up all that one back end's configuration names. */
export async function lookUp(settings: BackendSettings, lookup: Lookup, before: Known): Promise<Round> {
  const failures: Round['failures'] = []
  async function ask<T>(
    names: readonly string[],
    how: (name: string) => Promise<Found<T>>,
    known: ReadonlyMap<string, Found<T>>,
  ): Promise<Map<string, Found<T>>> {
    const answers = await Promise.all(
      [...new Set(names)].map(async (name) => {
        try {
          return [name, await how(name)] as const
        } catch (error) {
          failures.push({ name, cause: systemCode(error) })
          return [name, known.get(name)] as const
        }
      }),
    )
    return new Map(answers.flatMap(([name, found]) => (found ? [[name, found]] : [])))
  }

  const services = await ask(Object.values(settings.srv ?? {}), lookup.services, before.services)
  const targets = [...services.values()].flatMap(({ records }) => records.map(({ target }) => target))
  for (const name of new Set(targets.filter(isUnspecified))) failures.push({ name, cause: UNSPECIFIED_MEANING })
  const names = [...settings.hosts, ...targets].filter((host) => !isAddress(host))
  const hosts = await ask(names, lookup.addresses, before.hosts)
  const lifetimes = [...services.values(), ...hosts.values()].map(({ ttlMs }) => ttlMs)
  return {
    known: { hosts, services },
    ttlMs: failures.length > 0 ? AGAIN_MS : boundedTtl(Math.min(...lifetimes)),
    failures,
  }
}

/** @returns undefined where the back end does not serve the protocol, and nothing where it is not known (any more) where */
export function addressesOf(settings: BackendSettings, protocol: ProtocolName, known: Known): Address[] | undefined {
  const { hosts, srv } = settings
  if (srv) {
    const name = srv[protocol]
    return name === undefined ? undefined : serviceAddresses(known.services.get(name)?.records ?? [], known)
  }
  const port = settings.ports[protocol]
  if (port === undefined) return undefined
  return distinct(
    hosts.flatMap((host, rank) => {
      const source = isAddress(host) ? 'address' : 'name'
      return ipsOf(host, known).map(({ ip, family }) => ({
        host,
        ip,
        port,
        source,
        rank: 2 * rank + family,
        weight: 1,
      }))
    }),
  )
}

/** RFC 2782: lower priorities first, weights within one. */
function serviceAddresses(services: readonly Service[], known: Known): Address[] {
  const addresses = services.flatMap(({ target: host, port, priority, weight }) => {
    const ips = ipsOf(host, known)
    // A weight of 0 is a very small one. The share of a target is split among its addresses.
    const share = Math.max(weight, 0.01) / Math.max(1, ips.filter(({ family }) => family === 0).length)
    return ips.map(({ ip, family }) => ({
      host,
      ip,
      port,
      source: 'srv' as const,
      rank: 2 * priority + family,
      weight: share,
    }))
  })
  return distinct(addresses.sort((a, b) => a.rank - b.rank))
}

/** `family` is 0 for those of the family that the system prefers, 1 for the others: the second way to the same machines. */
function ipsOf(host: string, known: Known): { ip: string; family: 0 | 1 }[] {
  const found = isAddress(host) ? [host] : (known.hosts.get(host)?.records ?? [])
  const ips = found.filter((ip) => !isUnspecified(ip))
  const first = familyOf(ips[0] ?? '')
  const all = ips.map((ip) => ({ ip, family: familyOf(ip) === first ? (0 as const) : (1 as const) }))
  return all.sort((a, b) => a.family - b.family)
}

function distinct(addresses: readonly Address[]): Address[] {
  const seen = new Map<string, Address>()
  for (const address of addresses) {
    const key = keyOf(address)
    if (!seen.has(key)) seen.set(key, address)
  }
  return [...seen.values()]
}

export function keyOf({ ip, port }: Address): string {
  return hostPort(ip, port)
}
