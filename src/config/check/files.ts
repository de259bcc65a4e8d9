/** Reads the files that mailmux.yaml refers to, tells what is wrong with them at the key that names them, and hands on what is in them. */
import path from 'node:path'
import type { X509Certificate } from 'node:crypto'
import type { Secret } from '../../secret.ts'
import { isLoopback } from './addresses.ts'
import { readAuthHttpFiles, type AuthHttpFiles } from './auth-http.ts'
import type { MainDraft } from './main.ts'
import { readRedisFiles, type RedisFiles } from './redis.ts'
import { mismatch, readBearerToken, readCertificates, readPrivateKey, readTicketSecret } from './pem.ts'
import type { Problems } from '../yaml/problems.ts'
import { createReporter, type Path, type Reporter } from '../schema/read.ts'
import type { CertificateSettings } from '../settings.ts'
import type { Parsed } from '../schema/values.ts'

export type MainFiles = {
  certificates: CertificateSettings[]
  ticketSecret: Secret | undefined
  /** PEM text of the CAs of client certificates, by the place of the listener */
  clientCas: Map<number, string>
  token: Secret | undefined
  redis: RedisFiles
  authHttp: AuthHttpFiles
}

/** A reader that resolves against the referring file's directory and notes each name, for whoever watches the files. */
export type FileReader = {
  <T>(name: string, read: (file: string) => Parsed<T>, at: Path, report: Reporter): T | undefined
  resolve: (name: string) => string
}

/**
 * @param directory of the file that refers to the others
 * @param files grows by the absolute path of each file asked for, whether it could be read or not
 */
export function createFileReader(directory: string, files: Set<string>): FileReader {
  const resolve = (name: string): string => path.resolve(directory, name)
  function readFile<T>(name: string, read: (file: string) => Parsed<T>, at: Path, report: Reporter): T | undefined {
    const file = resolve(name)
    files.add(file)
    const result = read(file)
    if ('value' in result) return result.value
    report.error(at, `${file} ${result.wrong}`)
    return undefined
  }
  return Object.assign(readFile, { resolve })
}

export function checkMainFiles(
  draft: MainDraft,
  directory: string,
  files: Set<string>,
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
    token: checkAdmin(main?.admin, readFile, report),
    redis: readRedisFiles(main?.directory?.redis, readFile, now, report),
    authHttp: readAuthHttpFiles(main?.directory?.auth_http, readFile, report),
  }
}

/** A certificate and its key, where both are named: read, and proven to belong together. */
export function readPair(
  files: { cert: string | undefined; key: string | undefined },
  at: { cert: Path; key: Path },
  { readFile, now, report }: { readFile: FileReader; now: Date; report: Reporter },
): CertificateSettings | undefined {
  if (files.cert === undefined || files.key === undefined) return undefined
  const cert = readFile(files.cert, readCertificates, at.cert, report)
  const key = readFile(files.key, readPrivateKey, at.key, report)
  if (cert !== undefined) checkDates(cert.chain, now, (message) => report.warn(at.cert, message))
  if (cert === undefined || key === undefined) return undefined
  const wrong = mismatch(cert.chain, cert.pem, key)
  if (wrong !== undefined) report.error(at.key, `this key ${wrong}`)
  return { certFile: readFile.resolve(files.cert), cert: cert.pem, keyFile: readFile.resolve(files.key), key }
}

type Main = NonNullable<MainDraft['value']>

function checkAdmin(admin: Main['admin'], readFile: FileReader, report: Reporter): Secret | undefined {
  if (admin === undefined) return undefined
  if (admin.token_file !== undefined)
    return readFile(admin.token_file, readBearerToken, ['admin', 'token_file'], report)
  // The API lists the sessions, and `explain` tells of users and back ends.
  if (admin.listen !== undefined && !isLoopback(admin.listen.host)) {
    report.error(['admin', 'listen'], 'an address that is not loopback needs admin.token_file')
  }
  return undefined
}

/** An expired certificate is no error: a reload that refuses it would keep the older one, which has expired too. */
function checkDates(chain: readonly X509Certificate[], now: Date, warn: (message: string) => void): void {
  chain.forEach((certificate, index) => {
    const which = index === 0 ? 'this certificate' : `certificate ${index + 1} of this chain`
    if (certificate.validToDate < now) warn(`${which} expired on ${day(certificate.validToDate)}`)
    if (certificate.validFromDate > now) warn(`${which} is not valid before ${day(certificate.validFromDate)}`)
  })
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}
