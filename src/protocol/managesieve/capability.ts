/** The capabilities that ManageSieve clients get (RFC 5804 1.7), computed by the predicates that also check commands. */
import { MECHANISMS, type MechanismName } from '../../config/settings.ts'
import { canStartTls, offeredMechanisms } from '../predicates.ts'
import type { ClientWire, DialogueFacts } from '../protocol.ts'
import { formatString, type Token } from './parse.ts'

/** Announced until a back end was reached: sieve-connect ends where the line SIEVE is missing, and every server has fileinto. */
const FLOOR = 'fileinto'

/** A back end with a larger limit counts as one with this. Dovecot's default is 4. */
const MAX_REDIRECTS = 32

/** Words of Sieve extensions, notification methods and external lists: printable, without quotes and spaces. */
const WORD = /^[!#-[\]-~]{1,128}$/

/** Capabilities whose value is a list of words. */
const LISTS = ['SIEVE', 'NOTIFY', 'EXTLISTS', 'SASL']

/** The lines before login, each with its CRLF, without the OK that ends them. */
export function clientCapability(facts: DialogueFacts, client: ClientWire): string {
  const wordsOf = (name: string): string[] =>
    facts.announced.filter((word) => word.startsWith(`${name} `)).map((word) => word.slice(name.length + 1))
  const lines: string[] = []
  const add = (name: string, value?: string): void =>
    void lines.push(`"${name}"${value === undefined ? '' : ` ${formatString(value)}`}\r\n`)
  add('IMPLEMENTATION', facts.product)
  add('SIEVE', wordsOf('SIEVE').join(' ') || FLOOR)
  for (const name of ['NOTIFY', 'MAXREDIRECTS', 'EXTLISTS']) {
    const words = wordsOf(name)
    if (words.length > 0) add(name, name === 'MAXREDIRECTS' ? String(Math.max(...words.map(Number))) : words.join(' '))
  }
  add('SASL', offeredMechanisms(facts, client).join(' '))
  if (canStartTls(facts, client.secure)) add('STARTTLS')
  add('X-PROXY-TTL')
  // sievelib loses the last line: it must be one that no client needs.
  add('VERSION', '1.0')
  return lines.join('')
}

/** Of a back end's words, those about the session after the login. */
export function announceable(words: readonly string[]): string[] {
  return words.filter((word) => !word.startsWith('SASL '))
}

export function mechanismsIn(words: readonly string[]): MechanismName[] {
  return MECHANISMS.filter((mechanism) => words.includes(`SASL ${mechanism}`))
}

export type BackendCapability = {
  /**
   * Each with one value, such as `SIEVE fileinto`, so that the words that several back ends share are their common capabilities.
   * MAXREDIRECTS 3 becomes the words for 0 to 3: what is common is then the smallest limit.
   */
  words: string[]
  mechanisms: readonly MechanismName[]
  canStartTls: boolean
  /** the back end accepts XCLIENT from mailmux */
  xclient: boolean
  /** another mailmux, that counts how many it is from the client */
  proxyTtl: boolean
}

/** @param lines the data lines of a capability response; names are compared without case (RFC 5804 1.7) */
export function parseBackendCapability(lines: readonly (readonly Token[])[]): BackendCapability {
  const names = new Set<string>()
  const words: string[] = []
  for (const [first, value] of lines) {
    const name = first?.text.toUpperCase() ?? ''
    names.add(name)
    const values = (value?.text ?? '').split(' ').filter((word) => WORD.test(word))
    if (name === 'SASL') words.push(...values.map((word) => `SASL ${word.toUpperCase()}`))
    else if (LISTS.includes(name)) words.push(...values.map((word) => `${name} ${word}`))
    else if (name === 'MAXREDIRECTS' && /^\d{1,9}$/.test(value?.text ?? '')) {
      const most = Math.min(MAX_REDIRECTS, Number(value?.text))
      for (let count = 0; count <= most; count++) words.push(`MAXREDIRECTS ${count}`)
    }
  }
  return {
    words,
    mechanisms: mechanismsIn(words),
    canStartTls: names.has('STARTTLS'),
    xclient: names.has('XCLIENT'),
    proxyTtl: names.has('X-PROXY-TTL'),
  }
}
