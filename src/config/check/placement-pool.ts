/**
 * Which back ends may take the new users of a domain, by all that stands in the file: weight, tags, ports. Whether they are up is
 * for the moment of the choice. Asked by the checks of half-read files, and by the build of whole ones. Pure.
 */
import type { ProtocolName } from '../settings.ts'

type Tagged = { weight?: number | undefined; tags?: readonly (string | undefined)[] | undefined }

/** The protocols that users log in by; what is passed through is routed by server name. */
export function servedProtocols(
  listeners: readonly ({ protocol?: ProtocolName | undefined; tls?: string | undefined } | undefined)[],
): Set<ProtocolName> {
  return new Set(
    listeners.flatMap((listener) =>
      listener?.protocol === undefined || listener.tls === 'passthrough' ? [] : [listener.protocol],
    ),
  )
}

/**
 * A back end that serves less than the others is left out: a user placed by POP3 on one without IMAP would never get IMAP.
 * A back end with tags is kept for domains that ask for them, as one for premium customers, or for one country's mail, should be.
 * @param portsOf the ports of a back end, by protocol
 * @returns `chosen` the back ends; `lacking` those that only a missing port keeps out
 */
export function findPool<B extends Tagged>(
  backends: readonly B[],
  tags: readonly (string | undefined)[],
  protocols: ReadonlySet<ProtocolName>,
  portsOf: (backend: B) => Partial<Record<ProtocolName, unknown>>,
): { chosen: B[]; lacking: B[] } {
  const fitting = backends.filter((backend) => {
    const own = backend.tags ?? []
    return (backend.weight ?? 1) > 0 && tags.every((tag) => own.includes(tag)) && (tags.length > 0 || own.length === 0)
  })
  const serves = (backend: B, protocol: ProtocolName): boolean => portsOf(backend)[protocol] !== undefined
  const needed = [...protocols].filter((protocol) => fitting.some((backend) => serves(backend, protocol)))
  const isWhole = (backend: B): boolean => needed.every((protocol) => serves(backend, protocol))
  return { chosen: fitting.filter(isWhole), lacking: fitting.filter((backend) => !isWhole(backend)) }
}
