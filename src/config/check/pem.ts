/** The files that the configuration refers to: certificates, keys, CAs, tokens. Read once, at load time, and proven to be what they should be. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import tls from 'node:tls'
import { rethrowShortage } from '../../errors.ts'
import { Secret } from '../../secret.ts'
import { MAX_FILE_BYTES, readRegularFile } from '../regular-file.ts'
import type { Parsed } from '../schema/values.ts'

/** A whole file as text; what is wrong reads well after the file's name. */
export function readText(file: string, maxBytes: number = MAX_FILE_BYTES): Parsed<string> {
  const read = readRegularFile(file, maxBytes)
  if ('wrong' in read) return read
  try {
    return { value: new TextDecoder('utf-8', { fatal: true }).decode(read.value) }
  } catch (error) {
    rethrowShortage(error, `${file} cannot be read`)
    return { wrong: 'is not UTF-8 text' }
  }
}

/** A password or a token, alone in its file; the newline that every editor adds is not part of it. */
export function readSecret(file: string): Parsed<Secret> {
  const read = readText(file)
  if ('wrong' in read) return read
  const secret = read.value.trim()
  if (secret === '') return { wrong: 'is empty' }
  // It is sent in a header or a URL: a token with a second line would never match.
  if (/\s|\p{Cc}/u.test(secret)) return { wrong: 'must hold one word and nothing else' }
  return { value: new Secret(secret) }
}

/** RFC 6750 2.1. */
export const BEARER_TOKEN = /^[A-Za-z0-9._~+/-]+=*$/u

/** A secret that can be sent as a bearer token: with any other character it would be refused each time. */
export function readBearerToken(file: string): Parsed<Secret> {
  const read = readSecret(file)
  if ('wrong' in read || BEARER_TOKEN.test(read.value.reveal())) return read
  return { wrong: 'must be of letters, digits and . _ ~ + / - alone, with = at its end at most' }
}

/** RFC 5077 5.5 asks for keys that cannot be guessed: 256 bits of input for the 384 that are derived. */
const LEAST_TICKET_SECRET = 32

/**
 * Any octets, text or not, as latin1. The newline at the end of a text is not part of it: the copy on another
 * instance may lack it, and the two would silently not share their tickets.
 */
export function readTicketSecret(file: string): Parsed<Secret> {
  const read = readRegularFile(file, MAX_FILE_BYTES)
  if ('wrong' in read) return read
  const content = read.value.toString('latin1')
  const secret = /^[ -~]*\r?\n$/u.test(content) ? content.trimEnd() : content
  if (secret.length < LEAST_TICKET_SECRET) return { wrong: `holds fewer than ${LEAST_TICKET_SECRET} octets` }
  return { value: new Secret(secret) }
}

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]+?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/gu

/** Every certificate of a PEM file, in its order; the text is handed on as it stands. */
export function readCertificates(
  file: string,
): Parsed<{ pem: string; chain: [X509Certificate, ...X509Certificate[]] }> {
  const read = readText(file)
  if ('wrong' in read) return read
  try {
    const [first, ...rest] = (read.value.match(CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem))
    if (first === undefined) return { wrong: 'holds no certificate in PEM form' }
    return { value: { pem: read.value, chain: [first, ...rest] } }
  } catch (error) {
    rethrowShortage(error, `${file} cannot be read`)
    return { wrong: 'holds a certificate that cannot be read' }
  }
}

/** A private key in PEM form. OpenSSL's own words are kept out: they say nothing to an operator. */
export function readPrivateKey(file: string): Parsed<Secret> {
  const read = readText(file)
  if ('wrong' in read) return read
  // A passphrase would have to stand in a file beside the key, and protect nothing.
  if (/^-----BEGIN ENCRYPTED|^Proc-Type:.*ENCRYPTED/mu.test(read.value)) {
    return { wrong: 'is encrypted; keys are taken without a passphrase' }
  }
  try {
    createPrivateKey(read.value)
    return { value: new Secret(read.value) }
  } catch (error) {
    rethrowShortage(error, `${file} cannot be read`)
    return { wrong: 'holds no private key in PEM form' }
  }
}

/** What is wrong between a chain and a key that are each sound; undefined where they belong together. */
export function mismatch(
  chain: readonly [X509Certificate, ...X509Certificate[]],
  pem: string,
  key: Secret,
): string | undefined {
  const privateKey = createPrivateKey(key.reveal())
  if (!chain[0].checkPrivateKey(privateKey)) {
    const later = chain.some((certificate) => certificate.checkPrivateKey(privateKey))
    if (later) return "does not match the first certificate but a later one; the server's own must come first"
    return 'does not match the certificate'
  }
  try {
    // OpenSSL's security level has the last word: it refuses short keys and old signatures only here.
    tls.createSecureContext({ cert: pem, key: key.reveal() })
    return undefined
  } catch (error) {
    rethrowShortage(error, 'a certificate and its key cannot be compared')
    return `is refused by OpenSSL together with its certificate: ${error instanceof Error ? error.message : String(error)}`
  }
}
