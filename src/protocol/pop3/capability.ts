/** The capabilities that POP3 clients get (RFC 2449 5), computed by the predicates that also check commands. */
import { MECHANISMS, type MechanismName } from '../../config/settings.ts'
import { canStartTls, mayUseLogin, offeredMechanisms } from '../predicates.ts'
import type { ClientWire, DialogueFacts } from '../protocol.ts'

/** RFC 6856 2.1; the line may name languages of the user's name after the word. */
export function mayUseUtf8(facts: DialogueFacts): boolean {
  return facts.announced.some((line) => /^UTF8\b/i.test(line))
}

/** The lines of CAPA before login: what mailmux does itself, and what holds on every back end. */
export function clientCapability(facts: DialogueFacts, client: ClientWire): string[] {
  const lines = new Set(['RESP-CODES', 'AUTH-RESP-CODE', 'X-PROXY-TTL', ...facts.announced])
  if (canStartTls(facts, client.secure)) lines.add('STLS')
  const mechanisms = offeredMechanisms(facts, client)
  if (mayUseLogin(facts, client)) lines.add('USER')
  if (mechanisms.length > 0) lines.add(`SASL ${mechanisms.join(' ')}`)
  return [...lines]
}

/** Lines for which mailmux has its own, or that are about the time before login. */
const BEFORE_LOGIN =
  /^(SASL|STLS|USER|APOP|RESP-CODES|AUTH-RESP-CODE|IMPLEMENTATION|LOGIN-DELAY|LANG|XCLIENT|X-PROXY-TTL)\b/i

/** Of a back end's lines before login, those about the session after it (TOP, UIDL, UTF8 ...). */
export function announceable(lines: readonly string[]): string[] {
  return lines.filter((line) => !BEFORE_LOGIN.test(line))
}

export function mechanismsIn(lines: readonly string[]): MechanismName[] {
  const has = new Set(
    lines
      .map((line) => line.toUpperCase().split(' '))
      .filter(([name]) => name === 'SASL')
      .flat(),
  )
  return MECHANISMS.filter((mechanism) => has.has(mechanism))
}

export type BackendCapability = {
  /** CAPA was answered, with whatever lines */
  told: boolean
  /** as announced */
  lines: readonly string[]
  canStartTls: boolean
  /** another mailmux, that counts how many it is from the client */
  proxyTtl: boolean
  mechanisms: readonly MechanismName[]
}

/** A server without CAPA has USER and PASS and nothing else (RFC 1939). */
export function parseBackendCapability(lines: readonly string[], told: boolean): BackendCapability {
  return {
    told,
    lines,
    canStartTls: lines.some((line) => line.toUpperCase() === 'STLS'),
    proxyTtl: lines.some((line) => line.toUpperCase() === 'X-PROXY-TTL'),
    mechanisms: mechanismsIn(lines),
  }
}

/**
 * A line with a list of arguments as lines of one each, so that what several back ends have in common can be told.
 * What stands behind UTF8 (RFC 6856 2.1) is for user names, which mailmux carries as they are.
 */
export function splitCapability(line: string): string[] {
  const [name = '', ...values] = line.split(' ')
  if (name.toUpperCase() === 'SASL') return values.map((value) => `SASL ${value}`)
  return name.toUpperCase() === 'UTF8' ? ['UTF8'] : [line]
}
