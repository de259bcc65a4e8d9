/** The back end that a file means by its name, by its host, or by host and port; and how a file names a back end. */
import type { BackendSettings, RoutingSettings } from '../../config/settings.ts'
import { canonicalAddress, hostPort, isAddress, splitHostPort } from '../../net/address.ts'
import { show } from './format.ts'

/** Targets that are kept. A file of a million different ones must not take memory for each. */
const MOST_KNOWN = 10_000

/** `wrong`: in words. `isUnknown`: nothing in the routing file is like the target, which these words show. */
export type FoundBackend = { backend: string } | { wrong: string; isUnknown?: true }

export type BackendNames = {
  find: (target: string) => FoundBackend
  /** The host by which `find` finds the back end again; its name if there is none. @param withPort of its first protocol */
  hostOf: (backend: string, withPort: boolean) => string
}

export function createBackendNames({ backends }: Pick<RoutingSettings, 'backends'>): BackendNames {
  const byHost = new Map<string, BackendSettings[]>()
  for (const backend of backends.values())
    for (const host of backend.hosts) {
      const key = keyOf(host)
      byHost.set(key, [...(byHost.get(key) ?? []), backend])
    }
  /** A file names the same few over and over. */
  const known = new Map<string, FoundBackend>()

  function find(target: string): FoundBackend {
    const before = known.get(target)
    if (before) return before
    const found = findNew(target)
    if (known.size < MOST_KNOWN) known.set(target, found)
    return found
  }

  function findNew(target: string): FoundBackend {
    if (backends.has(target)) return { backend: target }
    const { host, port } = readTarget(target)
    const ofHost = byHost.get(keyOf(host)) ?? []
    const ofPort = port === undefined ? ofHost : ofHost.filter(({ ports }) => Object.values(ports).includes(port))
    const [one, ...others] = ofPort
    if (one && others.length === 0) return { backend: one.name }
    if (one) {
      const names = ofPort.map(({ name }) => name).join(', ')
      return { wrong: `${show(target)} is the host of several back ends of the routing file: ${names}` }
    }
    return ofHost.length > 0
      ? { wrong: `${show(host)} is a back end of the routing file, and serves nothing on port ${port}` }
      : { wrong: `${show(target)} is no back end of the routing file, neither by name nor by host`, isUnknown: true }
  }

  return {
    find,
    hostOf(name, withPort) {
      const backend = backends.get(name)
      const [host] = backend?.hosts ?? []
      if (backend === undefined || host === undefined) return name
      const [port] = Object.values(backend.ports)
      const written = withPort && port !== undefined ? hostPort(host, port) : host
      const found = find(written)
      return 'backend' in found && found.backend === name ? written : name
    },
  }
}

const keyOf = (host: string): string => canonicalAddress(host.toLowerCase())

function readTarget(target: string): { host: string; port: number | undefined } {
  const split = isAddress(target) ? undefined : splitHostPort(target)
  return split && /^\d{1,5}$/u.test(split.port)
    ? { host: split.host, port: Number(split.port) }
    : { host: target, port: undefined }
}
