/** Reads the files that mailmux.yaml names. A mistake in a file is reported at the key that names it. */
import type { MainDraft } from './drafts.ts'
import type { Secret } from '../../secret.ts'
import { checkAdminFiles, type AdminFiles } from './admin-files.ts'
import { readAuthHttpFiles, type AuthHttpFiles } from './auth-http.ts'
import { readAccessFiles, type AccessFiles } from './networks.ts'
import { readRedisFiles, type RedisFiles } from './redis.ts'
import { readCertificates, readTicketSecret } from './pem.ts'
import type { Problems } from '../yaml/problems.ts'
import { createReporter, type Path } from '../schema/read.ts'
import type { CertificateSettings } from '../settings.ts'
import type { ReadFiles } from '../read-files.ts'
import { checkDates, createFileReader, readPair } from './files.ts'

export type MainFiles = {
  certificates: CertificateSettings[]
  ticketSecret: Secret | undefined
  /** PEM text of the CAs of client certificates, by the index of the listener */
  clientCas: Map<number, string>
  admin: AdminFiles
  redis: RedisFiles
  authHttp: AuthHttpFiles
  /** absolute; written, and not read with the configuration */
  logFile: string | undefined
  access: AccessFiles
}

export function checkMainFiles(
  draft: MainDraft,
  directory: string,
  files: Pick<ReadFiles, 'add'>,
  now: Date,
  problems: Problems,
): MainFiles {
  const { value: main } = draft
  const report = createReporter(draft, problems)
  const readFile = createFileReader(directory, files)
  const certificates = (main?.tls?.certificates ?? []).flatMap((pair, index) => {
    const at: Path = ['tls', 'certificates', index]
    const places = { cert: [...at, 'cert'], key: [...at, 'key'] }
    return readPair({ cert: pair?.cert, key: pair?.key }, places, { readFile, now, report }) ?? []
  })
  const clientCas = new Map<number, string>()
  main?.listeners?.forEach((listener, index) => {
    if (listener?.client_ca_file === undefined) return
    const at: Path = ['listeners', index, 'client_ca_file']
    const ca = readFile(listener.client_ca_file, readCertificates, at, report)
    if (ca === undefined) return
    checkDates(ca.chain, now, (message) => report.warn(at, message))
    clientCas.set(index, ca.pem)
  })
  const ticketFile = main?.tls?.ticket_secret_file
  return {
    certificates,
    ticketSecret:
      ticketFile === undefined
        ? undefined
        : readFile(ticketFile, readTicketSecret, ['tls', 'ticket_secret_file'], report),
    clientCas,
    admin: checkAdminFiles(main?.admin, readFile, report),
    redis: readRedisFiles(main?.directory?.redis, readFile, now, report),
    authHttp: readAuthHttpFiles(main?.directory?.auth_http, readFile, report),
    logFile: main?.log?.file === undefined ? undefined : readFile.resolve(main.log.file),
    access: readAccessFiles(main, readFile, report),
  }
}
