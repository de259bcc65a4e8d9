/**
 * The small languages whose rules the wire makes: server names, networks, capabilities, ciphers, templates of names.
 * Like values.ts: pure, and each gives a value or says what is wrong.
 */
import tls from 'node:tls'
import type { CapabilityRules } from '../../protocol/registry.ts'
import {
  parseAddress,
  withoutZone,
  addressBits,
  familyOf,
  firstAddress,
  hasZone,
  isAddress,
  isMapped,
  shortestAddress,
} from '../../net/address.ts'
import { isLocalPart } from '../../user-name.ts'
import { parseHost, type Parsed } from './values.ts'

/** A server name as TLS carries it, lower case. RFC 6066 3: DNS names only, no address and no dot at the end. */
export function parseServerName(text: string): Parsed<string> {
  if (isAddress(text)) return { wrong: 'an address never comes as a server name (RFC 6066 3)' }
  if (text.endsWith('.') || 'wrong' in parseHost(text))
    return { wrong: 'not a server name: write it as imap.example.org' }
  return { value: text.toLowerCase() }
}

/** A key of `default_domains`: an address in one spelling, or a server name. */
export function parseLocalName(key: string): Parsed<string> {
  const address = parseAddress(key)?.address
  if (address !== undefined && hasZone(key)) return { wrong: `write the address without its zone: ${withoutZone(key)}` }
  if (address !== undefined) return { value: address }
  const name = parseServerName(key)
  return 'value' in name ? name : { wrong: 'not an address and not a server name (imap.example.org)' }
}

/** The name of SRV records: `_imap._tcp.example.org` (RFC 2782). */
export function parseServiceName(text: string): Parsed<string> {
  if (!/^_[a-z0-9-]{1,15}\._tcp\./iu.test(text) || 'wrong' in parseHost(text))
    return { wrong: 'not the name of SRV records: write it as _imap._tcp.example.org' }
  return { value: text.toLowerCase() }
}

/** A domain under which SRV records stand by the names that their protocols have. */
export function parseServiceDomain(text: string): Parsed<string> {
  if (text.startsWith('_'))
    return { wrong: 'write the domain alone, or one name for each protocol: {imap: _imap._tcp.example.org}' }
  if (isAddress(text) || 'wrong' in parseHost(text)) return { wrong: 'not a domain: write it as example.org' }
  return { value: text.toLowerCase() }
}

/** A server name, `*.example.org` for one label more, or `*` for all others. */
export function parseServerPattern(text: string): Parsed<string> {
  if (text === '*') return { value: text }
  const wildcard = text.startsWith('*.')
  const name = parseServerName(wildcard ? text.slice(2) : text)
  if ('value' in name) return { value: wildcard ? `*.${name.value}` : name.value }
  return text.includes('*') ? { wrong: 'a wildcard is *.example.org, or * alone for every other name' } : name
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address; always with a prefix length afterwards. */
export function parseNetwork(text: string): Parsed<string> {
  const match = /^(?<address>[^/]*)(?:\/(?<prefix>0|[1-9]\d{0,2}))?$/u.exec(text)
  const written = match?.groups?.address ?? ''
  const family = familyOf(written)
  // Without its zone `fe80::1%eth0` would match the address on every link.
  if (match === null || family === undefined || hasZone(written)) {
    return { wrong: 'not an address or network: write 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1' }
  }
  if (isMapped(written)) return { wrong: 'write an IPv4 address as such, without ::ffff:' }
  const most = addressBits(family)
  const prefix = match.groups?.prefix === undefined ? most : Number(match.groups.prefix)
  if (prefix > most) return { wrong: `the prefix length of an IPv${family} network is at most ${most}` }
  const address = shortestAddress(written)
  const first = firstAddress({ address, family, prefixBits: prefix })
  // 10.1.2.3/8 may have been meant as 10.1.2.3/32, which is sixteen million addresses fewer.
  if (first !== address) return { wrong: `has bits beyond its prefix: the network is ${first}/${prefix}` }
  return { value: `${first}/${prefix}` }
}

/** Words that are announced before login, parted by one space, as the rules of a protocol allow them. */
export function parseCapability(text: string, { required, own, withheld }: CapabilityRules): Parsed<string> {
  const words = text.split(/ +/u).filter((word) => word !== '')
  const seen = new Set<string>()
  for (const word of words) {
    // RFC 9051 9: `atom`, all printable ASCII but the specials.
    if (!/^[^\P{ASCII}\p{Cc}(){%*"\\\]]+$/u.test(word))
      return { wrong: `"${word}" is no capability: it breaks the line` }
    if (own.test(word)) return { wrong: `${word} is added by mailmux itself where it holds: leave it out` }
    if (withheld.test(word)) return { wrong: `${word} would lead users past mailmux: leave it out` }
    if (seen.has(word.toUpperCase())) return { wrong: `${word} stands here twice` }
    seen.add(word.toUpperCase())
  }
  if (!seen.has(required.toUpperCase())) return { wrong: `${required} must be among them` }
  return { value: words.join(' ') }
}

/** OpenSSL's cipher list for TLS 1.2. OpenSSL itself passes over names that it does not know; here they are errors. */
export function parseCiphers(text: string): Parsed<string> {
  const parts = text.split(':')
  for (const part of parts) {
    if (part.startsWith('TLS_'))
      return { wrong: `${part} is of TLS 1.3, whose ciphers are all good and are not chosen` }
    // `!x`, `-x`, `+x` and `@x` change what the others chose and mean nothing alone.
    if (/^[!+@-]/u.test(part)) continue
    if (!/^[\w+@=-]+$/u.test(part) || !isCipherList(part)) return { wrong: `OpenSSL knows no cipher "${part}"` }
  }
  return isCipherList(text) ? { value: text } : { wrong: 'OpenSSL finds no cipher in this list' }
}

function isCipherList(ciphers: string): boolean {
  try {
    tls.createSecureContext({ ciphers })
    return true
  } catch {
    return false
  }
}

/** `@`, and up to three more characters that part user from domain. */
export function parseDelimiters(text: string): Parsed<string> {
  if (!/^[@%+!#/\\ ]{1,4}$/u.test(text) || new Set(text).size !== text.length) {
    return { wrong: 'one to four different characters of @ % + ! # /, backslash and space' }
  }
  return text.includes('@') ? { value: text } : { wrong: '@ must be among them: addresses have it' }
}

/** SHA-256 as `openssl x509 -fingerprint` prints it or without its colons; upper case and no colons afterwards. */
export function parsePin(text: string): Parsed<string> {
  if (/^(?:[0-9a-f]{64}|[0-9a-f]{2}(?::[0-9a-f]{2}){31})$/iu.test(text)) {
    return { value: text.replaceAll(':', '').toUpperCase() }
  }
  return { wrong: 'not a SHA-256 fingerprint: 64 hexadecimal digits, with colons between pairs or without' }
}

/** A name made of a certificate's parts. Text without a part would give all certificates the same user. */
export function parseClientUser(text: string): Parsed<string> {
  const unknown = /%(?!\{(?:cn|email)\})(?:\{[^}]*\}?|.?)/su.exec(text)
  if (unknown) return { wrong: `"${unknown[0]}" is no placeholder: %{cn} and %{email} are` }
  if (/\p{Cc}/u.test(text)) return { wrong: 'a user name has no control characters' }
  return text.includes('%') ? { value: text } : { wrong: 'needs %{cn} or %{email}: all would be the same user' }
}

/** The name used at a back end. Without the user in it, all users would have the same mailbox. */
export function parseLoginFormat(text: string): Parsed<string> {
  const letters = Array.from(text.matchAll(/%(.?)/gsu), ([, letter]) => letter ?? '')
  const unknown = letters.find((letter) => !/^[und%]$/u.test(letter))
  if (unknown !== undefined) return { wrong: `"%${unknown}" is no placeholder: %u %n %d, and %% for a percent sign` }
  if (/\p{Cc}/u.test(text)) return { wrong: 'a login has no control characters' }
  if (letters.some((letter) => letter === 'u' || letter === 'n')) return { value: text }
  return { wrong: 'needs %u or %n: all would have the same mailbox' }
}

/** What begins an address extension: characters that a local part may have, or none. */
export function parseRecipientDelimiter(text: string): Parsed<string> {
  if (/^[._+\-=&'~#!$]{0,8}$/u.test(text)) return { value: text }
  return { wrong: 'characters that a user name may have, at most 8, such as "+" or "+-"; or "" for none' }
}

/** Between the user's name and the master's. What may stand in a user's name could be used to pass for another's. */
export function parseSeparator(text: string): Parsed<string> {
  if (/^[!-~]$/u.test(text) && !isLocalPart(text) && !/[@"\\]/.test(text)) return { value: text }
  return { wrong: 'one character that no user name has, as in Dovecot: * % / : ; |' }
}
