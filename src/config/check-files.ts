/** Reads the files that mailmux.yaml refers to, tells what is wrong with them at the key that names them, and hands on what is in them. */
import path from 'node:path'
import type { X509Certificate } from 'node:crypto'
import type { Secret } from '../secret.ts'
import { isLoopback } from './addresses.ts'
import type { MainDraft } from './check-main.ts'
import { mismatch, readCertificates, readPrivateKey, readSecret } from './pem.ts'
import type { Problems } from './problems.ts'
import { createReporter, type Path, type Reporter } from './read.ts'
import type { CertificateSettings } from './settings.ts'
import type { Parsed } from './values.ts'

export type MainFiles = {
  certificates: CertificateSettings[]
  token: Secret | undefined
  redisPassword: Secret | undefined
}

/** A reader that resolves against the referring file's directory and notes each name, for whoever watches the files. */
export type FileReader = <T>(
  name: string,
  read: (file: string) => Parsed<T>,
  at: Path,
  report: Reporter,
) => T | undefined

/**
 * @param directory of the file that refers to the others
 * @param files grows by the absolute path of each file asked for, whether it could be read or not
 */
export function createFileReader(directory: string, files: Set<string>): FileReader {
  return (name, read, at, report) => {
    const file = path.resolve(directory, name)
    files.add(file)
    const result = read(file)
    if ('value' in result) return result.value
    report.error(at, `${file} ${result.wrong}`)
    return undefined
  }
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
    if (pair?.cert === undefined || pair.key === undefined) return []
    const at: Path = ['tls', 'certificates', index]
    const cert = readFile(pair.cert, readCertificates, [...at, 'cert'], report)
    const key = readFile(pair.key, readPrivateKey, [...at, 'key'], report)
    if (cert !== undefined) checkDates(cert.chain, now, (message) => report.warn([...at, 'cert'], message))
    if (cert === undefined || key === undefined) return []
    const wrong = mismatch(cert.chain, cert.pem, key)
    if (wrong !== undefined) report.error([...at, 'key'], `this key ${wrong}`)
    const [certFile, keyFile] = [path.resolve(directory, pair.cert), path.resolve(directory, pair.key)]
    return [{ certFile, cert: cert.pem, keyFile, key }]
  })
  return {
    certificates,
    token: checkAdmin(main?.admin, readFile, report),
    redisPassword: checkRedis(main?.directory?.redis, readFile, report),
  }
}

type Main = NonNullable<MainDraft['value']>

function checkAdmin(admin: Main['admin'], readFile: FileReader, report: Reporter): Secret | undefined {
  if (admin === undefined) return undefined
  if (admin.token_file !== undefined) return readFile(admin.token_file, readSecret, ['admin', 'token_file'], report)
  // The API ends sessions and moves users: whoever reaches it without a token could do so.
  if (admin.listen !== undefined && !isLoopback(admin.listen.host)) {
    report.error(['admin', 'listen'], 'an address that is not loopback needs admin.token_file')
  }
  return undefined
}

function checkRedis(
  redis: NonNullable<Main['directory']>['redis'],
  readFile: FileReader,
  report: Reporter,
): Secret | undefined {
  if (redis?.password_file === undefined) return undefined
  const at: Path = ['directory', 'redis', 'password_file']
  if (redis.url !== undefined && new URL(redis.url).password !== '') {
    report.error(at, 'does nothing: the url has a password of its own', 'key')
  }
  return readFile(redis.password_file, readSecret, at, report)
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
