/** What POP3 clients are told mailmux can do (RFC 2449 5), from the same predicates that decide what it does. */
import type { DialogueFacts } from '../protocol.ts'

/** RFC 2595 4: STLS is there to be used once. */
export function canStartTls(facts: DialogueFacts, secure: boolean): boolean {
  return facts.startTlsOffered && !secure
}

/** Passwords cross the wire in clear only where the operator has said so. */
export function mayAuthenticate(facts: DialogueFacts, secure: boolean): boolean {
  return secure || facts.allowPlaintextAuth
}

/**
 * The lines of CAPA before login. TOP and UIDL, which every server of this century has, are told here since some clients ask
 * only once; the rest is what mailmux itself does.
 */
export function clientCapability(facts: DialogueFacts, secure: boolean): string[] {
  const lines = ['TOP', 'UIDL', 'RESP-CODES', 'AUTH-RESP-CODE', 'PIPELINING']
  if (canStartTls(facts, secure)) lines.push('STLS')
  if (mayAuthenticate(facts, secure)) lines.push('USER', 'SASL PLAIN')
  return lines
}

export type BackendCapability = { canStartTls: boolean; plain: boolean }

/** A server without CAPA has USER and PASS and nothing else (RFC 1939). */
export function parseBackendCapability(lines: readonly string[]): BackendCapability {
  const words = lines.map((line) => line.toUpperCase().split(' '))
  return {
    canStartTls: words.some(([name]) => name === 'STLS'),
    plain: words.some(([name, ...mechanisms]) => name === 'SASL' && mechanisms.includes('PLAIN')),
  }
}
