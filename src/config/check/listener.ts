/** Rules between the keys of one listener. Rules between its keys and the back ends are in passthrough.ts. */
import { CAPABILITY_PROTOCOLS, specOf } from '../../protocol/registry.ts'
import { isAddress, withoutZone } from '../../net/address.ts'
import { listenAddresses, overlaps } from './addresses.ts'
import { checkBanner } from './banner.ts'
import type { Listener, Place } from './drafts.ts'
import type { Path, Reporter } from '../schema/read.ts'
import { isWritten } from '../yaml/source.ts'
import type { Parsed } from '../schema/values.ts'
import { parseServerPattern, parseLocalName } from '../schema/wire-values.ts'

/** What a listener takes from the rest of the file. */
export type Surroundings = {
  hostname: string
  minVersion: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** the directory gets the password of each login */
  checksPasswords: boolean
}

/** Keys about what mailmux says, reads or decrypts: it does none of that where the client's TLS is carried on unopened. */
const OPENED_ONLY = [
  'banner',
  'allow_plaintext_auth',
  'mechanisms',
  ...CAPABILITY_PROTOCOLS.map((protocol) => `${protocol}_capability` as const),
  'min_version',
  'ciphers',
  'client_ca_file',
  'client_cert_user',
  'default_domain',
  'default_domains',
  'delimiters',
  'master_separator',
] as const

const TLS_ONLY = ['min_version', 'ciphers', 'client_ca_file', 'client_cert_user'] as const

export function checkListener(listener: Listener, surroundings: Surroundings, place: Place): void {
  checkProxies(listener, place)
  checkPassthrough(listener, place)
  if (listener.tls === 'passthrough') {
    refuse(OPENED_ONLY, 'does nothing with tls: passthrough: nothing is decrypted or answered here', place)
    return
  }
  const { path, report } = place
  if (listener.banner !== undefined) {
    const wrong = checkBanner(listener.banner, listener.protocol, surroundings.hostname)
    for (const message of wrong) report.error([...path, 'banner'], message)
  }
  checkPlaintext(listener, place)
  checkMechanisms(listener, place)
  checkClientTls(listener, surroundings, place)
  checkDefaultDomains(listener, place)
  checkCertifiedNames(listener, place)
  checkMasterSeparator(listener, surroundings, place)
  checkCapabilities(listener, place)
}

function checkCapabilities({ protocol }: Listener, place: Place): void {
  if (protocol === undefined) return
  for (const other of CAPABILITY_PROTOCOLS) {
    if (other === protocol) continue
    refuse([`${other}_capability`], `does nothing here: it is of ${specOf(other).title} alone`, place)
  }
}

function refuse(keys: readonly string[], why: string, { source, path, report }: Place): void {
  for (const key of keys) if (isWritten(source, [...path, key])) report.error([...path, key], why, 'key')
}

/** What an auth server that checks passwords could check of such a login is the password of another user: see auth-http-directory.ts. */
function checkMasterSeparator(
  { master_separator: separator, delimiters, mechanisms }: Listener,
  { checksPasswords }: Surroundings,
  { path, report }: Place,
): void {
  if (separator === undefined) return
  const at = [...path, 'master_separator']
  if (delimiters?.includes(separator) === true)
    report.error(at, 'parts user from domain already: it is one of delimiters')
  if (checksPasswords && (mechanisms === undefined || mechanisms.every((one) => PASSWORD_ONLY.has(one ?? ''))))
    report.error(at, 'does nothing with directory.auth_http.send_password, which has no word for a master user', 'key')
}

const PASSWORD_ONLY: ReadonlySet<string> = new Set(['PLAIN', 'LOGIN', 'EXTERNAL'])

function checkPlaintext({ tls, allow_plaintext_auth: allowed }: Listener, { path, report }: Place): void {
  if (allowed === true) {
    const at = [...path, 'allow_plaintext_auth']
    if (tls === 'implicit') report.error(at, 'does nothing here: with implicit TLS nothing is ever in plain text')
    else report.warn(at, 'passwords may cross the wire unencrypted')
  } else if (tls === 'none' && allowed === false) {
    report.warn([...path, 'tls'], 'without TLS and without allow_plaintext_auth nobody can log in here')
  }
}

function checkProxies({ proxy_protocol: mode, trusted_proxies: trusted }: Listener, { path, report }: Place): void {
  if (trusted === undefined) return
  const at: Path = [...path, 'trusted_proxies']
  if (mode === 'off' && trusted.length > 0) report.error(at, 'does nothing while proxy_protocol is off', 'key')
  if (mode === 'required' && trusted.length === 0) {
    report.error([...path, 'proxy_protocol'], 'needs trusted_proxies: without them nobody may connect here')
  }
  trusted.forEach((network, index) => {
    if (network?.endsWith('/0')) report.warn([...at, index], 'anybody may connect here and claim any address')
  })
}

function checkPassthrough({ tls, passthrough }: Listener, place: Place): void {
  const { source, path, report } = place
  if (tls === undefined || passthrough === undefined) return
  const at: Path = [...path, 'passthrough']
  const names = Object.keys(passthrough)
  if (tls === 'passthrough' && names.length === 0) {
    report.error(
      isWritten(source, at) ? at : [...path, 'tls'],
      'tls: passthrough needs rules: passthrough: {"*": store1}',
    )
  }
  if (tls === 'none' || tls === 'starttls') {
    refuse(['passthrough'], `does nothing with tls: ${tls}: no server name comes before the protocol`, place)
  }
  if (tls === 'implicit' && names.includes('*')) {
    report.error([...at, '*'], 'leaves nothing to be decrypted here: say so with tls: passthrough', 'key')
  }
  checkKeys(at, names, parseServerPattern, report)
}

/** Keys that are names of a kind: each well-formed, and none there twice in two spellings. */
function checkKeys(at: Path, keys: string[], parse: (key: string) => Parsed<string>, report: Reporter): void {
  const spellings = new Map<string, string>()
  for (const key of keys) {
    const parsed = parse(key)
    if ('wrong' in parsed) {
      report.error([...at, key], parsed.wrong, 'key')
      continue
    }
    const other = spellings.get(parsed.value)
    if (other !== undefined) report.error([...at, key], `the same as "${other}"`, 'key')
    else spellings.set(parsed.value, key)
  }
}

function checkMechanisms({ mechanisms, client_cert_user: user }: Listener, place: Place): void {
  const { source, path, report } = place
  const mapsUser = isWritten(source, [...path, 'client_cert_user'])
  mechanisms?.forEach((mechanism, index) => {
    const at: Path = [...path, 'mechanisms', index]
    if (mechanism !== undefined && mechanisms.indexOf(mechanism) < index)
      report.error(at, `${mechanism} stands here twice`)
    if (mechanism !== 'EXTERNAL') return
    if (!isWritten(source, [...path, 'client_ca_file'])) {
      report.error(at, 'EXTERNAL needs client_ca_file: the certificate is what it goes by')
    } else if (!mapsUser) report.error(at, 'EXTERNAL needs client_cert_user: whom a certificate speaks for')
  })
  // With an item that is not understood, EXTERNAL may be the one that was meant.
  if (user === undefined || mechanisms === undefined || mechanisms.includes(undefined)) return
  if (!mechanisms.includes('EXTERNAL')) {
    report.error([...path, 'client_cert_user'], 'does nothing: mechanisms leaves EXTERNAL out', 'key')
  }
}

function checkClientTls(listener: Listener, { minVersion }: Surroundings, place: Place): void {
  const { source, path } = place
  if (listener.tls === 'none') {
    refuse(TLS_ONLY, 'does nothing with tls: none', place)
    return
  }
  if (!isWritten(source, [...path, 'client_ca_file'])) {
    refuse(['client_cert_user'], 'needs client_ca_file: without it no certificate is asked for', place)
  }
  const own = isWritten(source, [...path, 'min_version'])
  if ((own ? listener.min_version : minVersion) === 'TLSv1.3') {
    refuse(['ciphers'], 'does nothing with min_version: TLSv1.3: it chooses those of TLS 1.2', place)
  }
}

/** A certificate's name is complete in itself: with a domain chosen by what the client connects to, a client could open several mailboxes. */
function checkCertifiedNames({ client_cert_user: template }: Listener, { source, path, report }: Place): void {
  if (template === undefined || /@|%\{email\}/u.test(template)) return
  const remedy = `write the domain into client_cert_user: "${template}@example.org"`
  if (isWritten(source, [...path, 'default_domains'])) {
    report.error([...path, 'client_cert_user'], `default_domains complete no name of a certificate; ${remedy}`)
  } else if (isWritten(source, [...path, 'default_domain'])) {
    report.warn([...path, 'client_cert_user'], `default_domain completes no name of a certificate; ${remedy}`)
  }
}

function checkDefaultDomains(listener: Listener, { path, report }: Place): void {
  const at: Path = [...path, 'default_domains']
  const keys = Object.keys(listener.default_domains ?? {})
  checkKeys(at, keys, parseLocalName, report)
  // A PROXY header carries an address and a server name of its own: then any may come.
  if (listener.proxy_protocol !== 'off') return
  const bound = listenAddresses(listener)
  for (const key of keys) {
    const parsed = parseLocalName(key)
    if ('wrong' in parsed) continue
    if (!isAddress(parsed.value)) {
      if (listener.tls === 'none') report.error([...at, key], 'never matches: without TLS no server name comes', 'key')
    } else if (bound !== undefined && !bound.some(({ host }) => overlaps(withoutZone(host), parsed.value))) {
      report.error([...at, key], 'never matches: this listener is not at that address', 'key')
    }
  }
}
