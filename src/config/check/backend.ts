/** Rules of one back end that schema/backend.ts cannot declare, and the files that they name. */
import type { Backend, MainDraft, KeyContext } from './drafts.ts'
import { readPair, type FileReader } from './files.ts'
import { checkEndpoints, hasNoName } from './endpoints.ts'
import { readCertificates, readSecret } from './pem.ts'
import type { CertificateSettings } from '../settings.ts'
import type { Path } from '../schema/read.ts'
import { isWritten } from '../yaml/source.ts'
import type { Secret } from '../../secret.ts'
import { PROTOCOL_NAMES, specOf } from '../../protocol/registry.ts'

/** What was read for one back end. `ca` is PEM text. */
export type BackendFiles = {
  ca: string | undefined
  clientCertificate: CertificateSettings | undefined
  masterSecret: Secret | undefined
  /** the password of the user of check: login */
  testSecret: Secret | undefined
}

export function checkBackend(backend: Backend, main: MainDraft, place: KeyContext): void {
  const { path, report } = place
  checkEndpoints(backend, main, place)
  checkTls(backend, place)
  checkPorts(backend, place)
  checkHealth(backend, place)
  checkLimits(backend, main, place)
  const master = backend.master
  // Dovecot cuts at the first or the last of them, by its version. Either way the name of another user results.
  if (master?.separator !== undefined && master.user?.includes(master.separator) === true) {
    report.error([...path, 'master', 'separator'], 'stands in the name of the master user too')
  }
}

function checkTls(backend: Backend, { source, path, report }: KeyContext): void {
  const { tls, verify } = backend
  if (tls === 'none' || tls === undefined) return
  if (verify === 'none') {
    // A pinned certificate is known better than any CA could vouch for it.
    if (backend.pin_sha256?.length === 0) {
      report.warn([...path, 'verify'], 'an attacker that diverts the connection to this back end reads its passwords')
    }
  } else if (verify === 'name' && !isWritten(source, [...path, 'tls_name'])) {
    for (const at of hasNoName(backend, path)) {
      report.error(at, 'TLS verifies a name: add tls_name, the name in the certificate (or `verify: none`)')
    }
  }
}

/** One `tls` holds for all ports, and ManageSieve has no registered port for TLS from the first byte (RFC 5804 1.8). */
function checkPorts(backend: Backend, { path, report }: KeyContext): void {
  const { tls } = backend
  if (tls === undefined) return
  for (const name of PROTOCOL_NAMES) {
    const { plain, implicit } = specOf(name).ports
    const port = backend[name]
    if (
      port === undefined ||
      port !== (tls === 'implicit' ? plain : implicit) ||
      (tls !== 'implicit' && port === plain)
    )
      continue
    const how = tls === 'implicit' ? 'without' : 'with'
    report.warn([...path, name], `servers begin ${how} TLS on port ${port}, and tls: ${tls} holds for every port here`)
  }
}

function checkHealth({ health, tls }: Backend, { path, report }: KeyContext): void {
  if (health?.check === 'tls' && tls !== undefined && tls !== 'implicit') {
    const why = 'a handshake alone can be tried with tls: implicit only; greeting includes it'
    report.error([...path, 'health', 'check'], why)
  }
}

/** A limit that can never be reached is an error, because it would have no effect. */
function checkLimits({ limits }: Backend, main: MainDraft, { source, path, report }: KeyContext): void {
  const at = (key: string): Path => [...path, 'limits', key]
  const has = (key: string): boolean => isWritten(source, at(key))
  const { sessions, logins, queue_timeout: timeout } = limits ?? {}
  if (has('logins') && sessions !== undefined && logins !== undefined && logins > sessions) {
    report.error(at('logins'), 'never reached: a login counts as one of `sessions`, of which there are fewer')
  }
  const loginMs = main.value?.limits?.backend_timeout
  if (has('queue_timeout') && timeout !== undefined && loginMs !== undefined && timeout >= loginMs) {
    report.error(
      at('queue_timeout'),
      'never lasts so long: limits.backend_timeout of the main file ends the login sooner',
    )
  }
}

export function readBackendFiles(backend: Backend, readFile: FileReader, now: Date, place: KeyContext): BackendFiles {
  const { path, report } = place
  const { ca_file: ca, client_cert: cert, client_key: key, master, health } = backend
  const readPassword = (file: string | undefined, at: string): Secret | undefined =>
    file === undefined ? undefined : readFile(file, readSecret, [...path, at, 'password_file'], report)
  return {
    ca: ca === undefined ? undefined : readFile(ca, readCertificates, [...path, 'ca_file'], report)?.pem,
    clientCertificate: readPair(
      { cert, key },
      { cert: [...path, 'client_cert'], key: [...path, 'client_key'] },
      { readFile, now, report },
    ),
    masterSecret: readPassword(master?.password_file, 'master'),
    testSecret: readPassword(health?.password_file, 'health'),
  }
}
