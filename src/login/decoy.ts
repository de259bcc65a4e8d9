/** A login by SCRAM that mailmux itself refuses: challenged as a back end would, so that the exchange does not tell who exists. */
import { setTimeout as wait } from 'node:timers/promises'
import { actsForAnother } from '../protocol/decoy-challenge.ts'
import type { LoginAttempt } from '../protocol/protocol.ts'
import { judgeLength } from '../protocol/credential-bounds.ts'
import type { World } from '../world.ts'
import type { RefusalPace } from './refusal-pace.ts'
import type { TurnedAway } from './refuse.ts'

/**
 * @param user the name that routes are kept under; undefined where the client's cannot be one
 * @param turnedAway what the login is refused with
 * @returns what it is refused with after the exchange; the same at once where a back end would not have challenged the client either
 * @throws what the client's connection fails with
 */
export async function refuseAsBackend(
  { mechanism, credentials, user: name }: LoginAttempt,
  user: string | undefined,
  turnedAway: TurnedAway,
  { decoyChallenge }: World,
  pace: RefusalPace,
): Promise<TurnedAway> {
  if (turnedAway.refusal.reason !== 'authentication-failed') return turnedAway
  // XOAUTH2 and OAUTHBEARER have their proof in the first message: what comes after it is an explanation, which need not be there.
  if (credentials.kind !== 'relayed' || (mechanism !== 'SCRAM-SHA-1' && mechanism !== 'SCRAM-SHA-256'))
    return turnedAway
  if (judgeLength(name, credentials) === 'too-long') return turnedAway
  const firstMessage = credentials.firstMessage(name)?.reveal() ?? ''
  // Dovecot and Cyrus challenge a client that acts for another only if they know that client.
  if (actsForAnother(firstMessage)) return turnedAway
  await wait(pace.challengeMs())
  const challenge = decoyChallenge(mechanism, user ?? name, firstMessage)
  const line = await credentials.converse(challenge)
  return line === '*' ? { refusal: { reason: 'cancelled' }, detail: 'the client gave up' } : turnedAway
}
