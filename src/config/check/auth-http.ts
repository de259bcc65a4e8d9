/** Rules between the keys of `directory.auth_http` and other keys, and the files that they name. */
import type { MainDraft, RoutingDraft, AuthHttp } from './drafts.ts'
import { PROTOCOL_NAMES } from '../../protocol/registry.ts'
import { unbracketHost } from '../../net/address.ts'
import { Secret } from '../../secret.ts'
import { isLoopback } from './addresses.ts'
import type { FileReader } from './files.ts'
import { readCertificates, readSecret } from './pem.ts'
import type { Path, Reporter } from '../schema/read.ts'
import { isWritten } from '../yaml/source.ts'

export type AuthHttpFiles = { ca: string | undefined; headers: Map<string, Secret> }

const AT: Path = ['directory', 'auth_http']

/** What mailmux says itself, or HTTP does: a second of these would contradict it. */
const OWN_HEADER =
  /^(?:auth-|client-|proxy-|host$|connection$|content-|transfer-|keep-alive$|te$|trailer$|upgrade$|expect$)/iu

export function checkAuthHttp(authHttp: AuthHttp | undefined, report: Reporter): void {
  if (authHttp === undefined) return
  for (const name of Object.keys(authHttp.headers ?? {})) {
    const at = [...AT, 'headers', name]
    // RFC 9110 5.6.2: `token`
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/u.test(name)) report.error(at, 'not the name of a header', 'key')
    else if (OWN_HEADER.test(name)) report.error(at, 'is sent by mailmux itself, or not at all', 'key')
  }
  if (authHttp.url === undefined) return
  const { protocol, hostname } = new URL(authHttp.url)
  const isPrivate = protocol === 'https:' || isLoopback(unbracketHost(hostname))
  const allowed = [...AT, 'allow_plaintext']
  if (isPrivate && authHttp.allow_plaintext === true) {
    report.error(allowed, 'does nothing here: the url is https://, or of this machine', 'key')
  } else if (authHttp.allow_plaintext === true) {
    report.warn(
      allowed,
      'passwords and answers cross the network unencrypted; an attacker on the way reads passwords and forges answers',
    )
  } else if (!isPrivate && authHttp.allow_plaintext === false) {
    report.error([...AT, 'url'], 'http:// to another machine needs allow_plaintext: true; better use https://')
  }
}

export function readAuthHttpFiles(
  authHttp: AuthHttp | undefined,
  readFile: FileReader,
  report: Reporter,
): AuthHttpFiles {
  const headers = new Map<string, Secret>()
  for (const [name, value] of Object.entries(authHttp?.headers ?? {})) {
    if (typeof value === 'string') headers.set(name, new Secret(value))
    if (typeof value !== 'object' || value.file === undefined) continue
    const secret = readFile(value.file, readSecret, [...AT, 'headers', name, 'file'], report)
    if (secret) headers.set(name, secret)
  }
  const file = authHttp?.ca_file
  return {
    ca: file === undefined ? undefined : readFile(file, readCertificates, [...AT, 'ca_file'], report)?.pem,
    headers,
  }
}

/** An answer names an address and a port, or a back end and a port: that must be one back end of the routing file. */
export function checkAuthHttpBackends(
  { source, value: routing }: RoutingDraft,
  main: MainDraft,
  report: Reporter,
): void {
  if (main.value?.directory?.auth_http === undefined || routing === undefined) return
  const routes = Object.values(routing.users ?? {})
  const rules = (main.value.listeners ?? []).flatMap((listener) => Object.values(listener?.passthrough ?? {}))
  const otherwiseUsed = new Set([
    ...routes.map((route) => (typeof route === 'string' ? route : route?.backend)),
    ...rules,
  ])
  const taken = new Map<string, string>()
  for (const [name, backend] of Object.entries(routing.backends ?? {})) {
    if (backend === undefined) continue
    const path: Path = ['backends', name]
    if (isWritten(source, [...path, 'srv'])) {
      if (!otherwiseUsed.has(name))
        report.error([...path, 'srv'], 'an auth server names an address and a port, which no back end by srv has')
      continue
    }
    const { host } = backend
    const hosts = [host].flat().flatMap((one) => (one === undefined ? [] : [one.toLowerCase()]))
    const places = PROTOCOL_NAMES.flatMap((protocol) =>
      [...new Set([name, ...hosts])].map((place) => ({ place, protocol, port: backend[protocol] })),
    )
    for (const { place, protocol, port } of places) {
      if (port === undefined) continue
      const id = JSON.stringify([protocol, place, port])
      const other = taken.get(id)
      if (other === undefined) taken.set(id, name)
      else {
        report.error(path, `at ${place} port ${port}, as ${other} is: an auth server could not tell them apart`, 'key')
        break
      }
    }
  }
}
