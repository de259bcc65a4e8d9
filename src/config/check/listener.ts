/** Rules of one listener that schema/listener.ts cannot declare. Rules between its keys and the back ends are in passthrough.ts. */
import { isAddress, withoutZone } from '../../net/address.ts'
import { listenAddresses, overlaps } from './addresses.ts'
import { checkBanner } from './banner.ts'
import type { Listener, KeyContext } from './drafts.ts'
import type { Path, Reporter } from '../schema/read.ts'
import { isWritten } from '../yaml/source.ts'
import type { Parsed } from '../schema/values.ts'
import { parseServerPattern, parseLocalName } from '../schema/wire-values.ts'

/** What a listener takes from the rest of the file. */
export type FileFacts = {
  hostname: string
  minVersion: 'TLSv1.2' | 'TLSv1.3' | undefined
  /** the directory gets the password of each login */
  checksPasswords: boolean
}

export function checkListener(listener: Listener, facts: FileFacts, place: KeyContext): void {
  checkProxies(listener, place)
  checkPassthrough(listener, place)
  if (listener.tls === 'passthrough') return
  const { path, report } = place
  if (listener.banner !== undefined) {
    const wrong = checkBanner(listener.banner, listener.protocol, facts.hostname)
    for (const message of wrong) report.error([...path, 'banner'], message)
  }
  checkPlaintext(listener, place)
  checkMechanisms(listener, place)
  checkCiphers(listener, facts, place)
  checkDefaultDomains(listener, place)
  checkCertifiedNames(listener, place)
  checkMasterSeparator(listener, facts, place)
}

/** What an auth server that checks passwords could check of such a login is the password of another user: see auth-http-directory.ts. */
function checkMasterSeparator(
  { master_separator: separator, delimiters, mechanisms }: Listener,
  { checksPasswords }: FileFacts,
  { path, report }: KeyContext,
): void {
  if (separator === undefined) return
  const at = [...path, 'master_separator']
  if (delimiters?.includes(separator) === true)
    report.error(at, 'parts user from domain already: it is one of delimiters')
  if (checksPasswords && (mechanisms === undefined || mechanisms.every((one) => PASSWORD_ONLY.has(one ?? ''))))
    report.error(at, 'does nothing with directory.auth_http.send_password, which has no word for a master user', 'key')
}

const PASSWORD_ONLY: ReadonlySet<string> = new Set(['PLAIN', 'LOGIN', 'EXTERNAL'])

function checkPlaintext({ tls, allow_plaintext_auth: allowed }: Listener, { path, report }: KeyContext): void {
  if (allowed === true) {
    if (tls !== 'implicit') report.warn([...path, 'allow_plaintext_auth'], 'passwords may cross the wire unencrypted')
  } else if (tls === 'none' && allowed === false) {
    report.warn([...path, 'tls'], 'without TLS and without allow_plaintext_auth no client can log in here')
  }
}

function checkProxies({ trusted_proxies: trusted }: Listener, { path, report }: KeyContext): void {
  trusted?.forEach((network, index) => {
    if (network?.endsWith('/0'))
      report.warn([...path, 'trusted_proxies', index], 'every host may connect here and claim any address')
  })
}

function checkPassthrough({ tls, passthrough }: Listener, place: KeyContext): void {
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

function checkMechanisms({ mechanisms, client_cert_user: user }: Listener, place: KeyContext): void {
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

function checkCiphers(listener: Listener, { minVersion }: FileFacts, { source, path, report }: KeyContext): void {
  if (listener.tls === 'none' || !isWritten(source, [...path, 'ciphers'])) return
  const own = isWritten(source, [...path, 'min_version'])
  if ((own ? listener.min_version : minVersion) === 'TLSv1.3') {
    report.error([...path, 'ciphers'], 'does nothing with min_version: TLSv1.3: it chooses those of TLS 1.2', 'key')
  }
}

/** A certificate's name is complete in itself: with a domain chosen by what the client connects to, a client could open several mailboxes. */
function checkCertifiedNames({ client_cert_user: template }: Listener, { source, path, report }: KeyContext): void {
  if (template === undefined || /@|%\{email\}/u.test(template)) return
  const remedy = `write the domain into client_cert_user: "${template}@example.org"`
  if (isWritten(source, [...path, 'default_domains'])) {
    report.error([...path, 'client_cert_user'], `default_domains complete no name of a certificate; ${remedy}`)
  } else if (isWritten(source, [...path, 'default_domain'])) {
    report.warn([...path, 'client_cert_user'], `default_domain completes no name of a certificate; ${remedy}`)
  }
}

function checkDefaultDomains(listener: Listener, { path, report }: KeyContext): void {
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
