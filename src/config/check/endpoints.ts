/** The addresses of a back end: hosts with ports, or SRV records, and never an address of mailmux itself. */
import type { Backend, MainDraft, KeyContext } from './drafts.ts'
import { PROTOCOL_NAMES, specOf } from '../../protocol/registry.ts'
import { isAddress } from '../../net/address.ts'
import { arrivesAt, listenAddresses } from './addresses.ts'
import type { Path, Reporter } from '../schema/read.ts'
import type { ProtocolName } from '../settings.ts'
import { isWritten, type Source } from '../yaml/source.ts'

/** Each is checked every few seconds; a login tries three of them at most. */
const MOST_HOSTS = 8

export function checkEndpoints(backend: Backend, main: MainDraft, { path, report }: KeyContext): void {
  const hosts = hostsOf(backend, path)
  if (hosts.length > MOST_HOSTS) {
    report.error([...path, 'host'], `at most ${MOST_HOSTS} hosts`)
    return
  }
  hosts.forEach(({ host, at }, index) => {
    if (hosts.findIndex((other) => other.host === host) < index) report.error(at, `${host} stands here already`)
    checkLoop(backend, { host, at }, path, main, report)
  })
}

/** @returns whether a back end serves a protocol; what is written and not understood has an error of its own */
export function serves(source: Source, path: Path, protocol: ProtocolName): boolean {
  if (isWritten(source, [...path, protocol]) || isWritten(source, [...path, 'srv', protocol])) return true
  if (specOf(protocol).srvNames === undefined) return false
  return isWritten(source, [...path, 'srv']) && !PROTOCOL_NAMES.some((one) => isWritten(source, [...path, 'srv', one]))
}

/** @returns where the back end is given by what is no name that a certificate could be held against (RFC 6125: SRV targets are not) */
export function hasNoName(backend: Backend, path: Path): Path[] {
  if (backend.srv !== undefined) return [[...path, 'srv']]
  return hostsOf(backend, path)
    .filter(({ host }) => isAddress(host))
    .map(({ at }) => at)
}

function hostsOf({ host }: Backend, path: Path): { host: string; at: Path }[] {
  if (host === undefined) return []
  if (typeof host === 'string') return [{ host, at: [...path, 'host'] }]
  return host.flatMap((one, index) => (one === undefined ? [] : [{ host: one, at: [...path, 'host', index] }]))
}

/** A back end that is ourselves would fill the machine with connections to itself at the first login. */
function checkLoop(
  backend: Backend,
  { host, at }: { host: string; at: Path },
  path: Path,
  main: MainDraft,
  report: Reporter,
): void {
  for (const listener of main.value?.listeners ?? []) {
    for (const address of (listener && listenAddresses(listener)) ?? []) {
      for (const protocol of PROTOCOL_NAMES) {
        if (backend[protocol] !== address.port || !arrivesAt(host, address.host)) continue
        const isOnly = typeof backend.host === 'string'
        report.error(
          isOnly ? [...path, protocol] : at,
          `routes to itself: listener "${listener?.name ?? ''}" has this address and port`,
        )
      }
    }
  }
}
