/** What the keys of one back end say to each other, and what is in the files that they name. */
import net from 'node:net'
import { arrivesAt } from './addresses.ts'
import { readPair, type FileReader } from './check-files.ts'
import { listenAddresses, type MainDraft } from './check-main.ts'
import type { Backend } from './check-routing.ts'
import { readCertificates, readSecret } from './pem.ts'
import type { Path, Reporter } from './read.ts'
import { PROTOCOLS } from './schema-listener.ts'
import type { CertificateSettings } from './settings.ts'
import { isWritten, type Source } from './source.ts'
import type { Secret } from '../secret.ts'

/** What was read for one back end. `ca` is PEM text. */
export type BackendFiles = {
  ca: string | undefined
  clientCertificate: CertificateSettings | undefined
  masterSecret: Secret | undefined
}

/** Where a back end stands, and whom to tell. */
type Place = { source: Source; path: Path; report: Reporter }

export function checkBackend(backend: Backend, main: MainDraft, place: Place): void {
  const { source, path, report } = place
  if (!PROTOCOLS.some((protocol) => isWritten(source, [...path, protocol]))) {
    report.error(path, 'serves nothing: it needs a port, imap or pop3', 'key')
  }
  checkTls(backend, place)
  checkLoop(backend, path, main, report)
  checkLimits(backend, main, place)
  const master = backend.master
  // Dovecot cuts at the first or the last of them, by its version: either way somebody else's name comes out.
  if (master?.separator !== undefined && master.user?.includes(master.separator) === true) {
    report.error([...path, 'master', 'separator'], 'stands in the name of the master user too')
  }
}

const TLS_ONLY = ['tls_name', 'ca_file', 'verify', 'pin_sha256', 'client_cert', 'client_key'] as const

function checkTls(backend: Backend, { source, path, report }: Place): void {
  const { host, tls, verify } = backend
  const has = (key: string): boolean => isWritten(source, [...path, key])
  if (tls === 'none') {
    for (const key of TLS_ONLY) if (has(key)) report.error([...path, key], `${key} does nothing with tls: none`, 'key')
    return
  }
  if (has('client_cert') !== has('client_key')) {
    const [one, other] = has('client_cert') ? ['client_cert', 'client_key'] : ['client_key', 'client_cert']
    report.error([...path, one], `needs ${other} beside it`, 'key')
  }
  if (tls === undefined) return
  if (verify === 'none') {
    // A pinned certificate is known better than any CA could vouch for it.
    if (backend.pin_sha256?.length === 0) {
      report.warn([...path, 'verify'], 'whoever can divert the connection to this back end reads its passwords')
    }
    if (has('ca_file')) report.error([...path, 'ca_file'], 'ca_file does nothing with verify: none', 'key')
  } else if (verify === 'name' && host !== undefined && net.isIP(host) !== 0 && !has('tls_name')) {
    report.error(
      [...path, 'host'],
      'TLS verifies a name: add tls_name, the name in the certificate (or `verify: none`)',
    )
  }
}

/** A back end that is ourselves would fill the machine with connections to itself at the first login. */
function checkLoop(backend: Backend, path: Path, main: MainDraft, report: Reporter): void {
  const { host } = backend
  if (host === undefined) return
  for (const listener of main.value?.listeners ?? []) {
    for (const address of (listener && listenAddresses(listener)) ?? []) {
      for (const protocol of PROTOCOLS) {
        if (backend[protocol] !== address.port || !arrivesAt(host, address.host)) continue
        report.error(
          [...path, protocol],
          `routes to itself: listener "${listener?.name ?? ''}" has this address and port`,
        )
      }
    }
  }
}

/** A limit that is never reached would let its author believe in it. */
function checkLimits({ limits }: Backend, main: MainDraft, { source, path, report }: Place): void {
  const at = (key: string): Path => [...path, 'limits', key]
  const has = (key: string): boolean => isWritten(source, at(key))
  const { sessions, logins, wait } = limits ?? {}
  if (has('logins') && sessions !== undefined && logins !== undefined && logins > sessions) {
    report.error(at('logins'), 'never reached: a login counts as one of `sessions`, of which there are fewer')
  }
  if (has('queue') && wait === 0) report.error(at('queue'), 'queue does nothing with wait: 0s', 'key')
  const timeout = main.value?.limits?.backend_timeout
  if (has('wait') && wait !== undefined && timeout !== undefined && wait >= timeout) {
    report.error(at('wait'), 'never lasts so long: limits.backend_timeout of the main file ends the login sooner')
  }
}

export function readBackendFiles(backend: Backend, readFile: FileReader, now: Date, place: Place): BackendFiles {
  const { path, report } = place
  const { ca_file: ca, client_cert: cert, client_key: key, master } = backend
  const secret = master?.secret_file
  return {
    ca: ca === undefined ? undefined : readFile(ca, readCertificates, [...path, 'ca_file'], report)?.pem,
    clientCertificate: readPair(
      { cert, key },
      { cert: [...path, 'client_cert'], key: [...path, 'client_key'] },
      { readFile, now, report },
    ),
    masterSecret:
      secret === undefined ? undefined : readFile(secret, readSecret, [...path, 'master', 'secret_file'], report),
  }
}
