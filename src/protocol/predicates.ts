/** What a client may do before login, the same in every protocol: asked by the dialogues, and by what they announce. Pure. */
import type { MechanismName } from '../config/settings.ts'
import type { ClientWire, DialogueFacts } from './protocol.ts'

/** STARTTLS (RFC 9051 6.2.1) and STLS (RFC 2595 4) are there to be used once. */
export function canStartTls(facts: DialogueFacts, secure: boolean): boolean {
  return facts.startTlsOffered && !secure
}

/** Passwords cross the wire in clear only where the operator has said so (RFC 9051 11.1). */
export function mayAuthenticate(facts: DialogueFacts, secure: boolean): boolean {
  return secure || facts.allowPlaintextAuth
}

/** What may be offered now: EXTERNAL is useless for a client without a certificate. */
export function offeredMechanisms(facts: DialogueFacts, client: ClientWire): MechanismName[] {
  if (!mayAuthenticate(facts, client.secure)) return []
  return facts.mechanisms.filter((mechanism) => mechanism !== 'EXTERNAL' || client.certifiedUser !== undefined)
}

/** The command LOGIN (RFC 9051 6.2.3), or USER and PASS, are a password too, and go where PLAIN goes. */
export function mayUseLogin(facts: DialogueFacts, client: ClientWire): boolean {
  return mayAuthenticate(facts, client.secure) && facts.mechanisms.includes('PLAIN')
}
