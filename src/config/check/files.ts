/** Reads files that keys name, certificates among them. A mistake in a file is reported at the key that names it. */
import path from 'node:path'
import type { X509Certificate } from 'node:crypto'
import { mismatch, readCertificates, readPrivateKey } from './pem.ts'
import type { ReadFiles } from '../read-files.ts'
import type { Path, Reporter } from '../schema/read.ts'
import type { CertificateSettings } from '../settings.ts'
import type { Parsed } from '../schema/values.ts'

/** Resolves names against the directory of the referring file, and collects them for the watcher of files. */
export type FileReader = {
  <T>(name: string, read: (file: string) => Parsed<T>, at: Path, report: Reporter): T | undefined
  resolve: (name: string) => string
}

/**
 * @param directory of the file that refers to the others
 * @param files gets the absolute path of each file, also of one that cannot be read
 */
export function createFileReader(directory: string, files: Pick<ReadFiles, 'add'>): FileReader {
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

/** An expired certificate is no error: a reload that refuses it would keep the older one, which has expired too. */
export function checkDates(chain: readonly X509Certificate[], now: Date, warn: (message: string) => void): void {
  chain.forEach((certificate, index) => {
    const which = index === 0 ? 'this certificate' : `certificate ${index + 1} of this chain`
    if (certificate.validToDate < now) warn(`${which} expired on ${day(certificate.validToDate)}`)
    if (certificate.validFromDate > now) warn(`${which} is not valid before ${day(certificate.validFromDate)}`)
  })
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10)
}
