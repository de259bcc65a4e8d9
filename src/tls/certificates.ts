/** The certificates that listeners show: one for each server name, and the first for everybody else. */
import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type TLSSocketOptions } from 'node:tls'
import type { Settings } from '../config/settings.ts'

export type Certificates = {
  /** what a TLS handshake on a listener needs */
  serverOptions: TLSSocketOptions
  /** end of validity of each certificate, for the metrics */
  expiries: { file: string; notAfterMs: number }[]
}

/** @returns undefined where no certificate is configured: no listener can then want one */
export function buildCertificates({ certificates, minVersion }: Settings['tls']): Certificates | undefined {
  const byName = new Map<string, SecureContext>()
  let first: SecureContext | undefined
  for (const { cert, key } of certificates) {
    const context = createSecureContext({ cert, key: key.reveal(), minVersion })
    first ??= context
    for (const name of namesOf(cert)) if (!byName.has(name)) byName.set(name, context)
  }
  if (!first) return undefined
  const fallback = first
  return {
    serverOptions: {
      secureContext: fallback,
      // With a single certificate there is nothing to choose, and no callback to pay for at each handshake.
      ...(certificates.length > 1 && {
        SNICallback: (name: string, answer: (error: Error | null, context?: SecureContext) => void) =>
          answer(null, findByName(byName, name) ?? fallback),
      }),
    },
    expiries: certificates.map(({ certFile, cert }) => ({
      file: certFile,
      notAfterMs: Date.parse(new X509Certificate(cert).validTo),
    })),
  }
}

/** RFC 6125 6.4.3: an exact name wins, then a wildcard for the left-most label. */
function findByName(byName: ReadonlyMap<string, SecureContext>, name: string): SecureContext | undefined {
  const wanted = name.toLowerCase()
  return byName.get(wanted) ?? byName.get(`*${wanted.slice(wanted.indexOf('.'))}`)
}

/** The DNS names that a certificate speaks for. */
function namesOf(cert: string): string[] {
  const alternatives = new X509Certificate(cert).subjectAltName ?? ''
  return alternatives
    .split(', ')
    .filter((entry) => entry.startsWith('DNS:'))
    .map((entry) => entry.slice('DNS:'.length).toLowerCase())
}
