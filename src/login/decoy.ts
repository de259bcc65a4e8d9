/** A login by SCRAM that mailmux itself refuses: the client gets a challenge as from a back end, so that the exchange does not tell who exists. */
import { sleep } from '../clock.ts'
import { judgeLength } from '../protocol/credential-bounds.ts'
import { actsForAnother } from '../protocol/decoy-challenge.ts'
import type { Refused } from '../protocol/protocol.ts'
import type { Login } from './login.ts'
import { refused } from './refuse.ts'

/**
 * @param refusal the login's, which no back end has been asked about
 * @returns the refusal after the exchange, or the same one at once if a back end would not have challenged the client either
 * @throws the failure of the client's connection
 */
export function refuseAsBackend(login: Login, refusal: Refused): Refused | Promise<Refused> {
  if (refusal.refusal.reason !== 'authentication-failed') return refusal
  const { mechanism, credentials, user } = login.attempt
  // XOAUTH2 and OAUTHBEARER carry their proof in the first message. A challenge after it would only explain the refusal.
  if (credentials.kind !== 'relayed' || (mechanism !== 'SCRAM-SHA-1' && mechanism !== 'SCRAM-SHA-256')) return refusal
  if (judgeLength(user, credentials) === 'too-long') return refusal
  const firstMessage = credentials.firstMessage(user)?.reveal() ?? ''
  // Dovecot and Cyrus challenge a client that acts for another only if they know that client.
  if (actsForAnother(firstMessage)) return refusal
  const challenge = login.world.decoyChallenge(mechanism, login.record.user ?? user, firstMessage)
  return exchange(login, challenge, credentials.converse, refusal)
}

async function exchange(
  { services: { clock, pace } }: Login,
  challenge: string,
  converse: (challenge: string) => Promise<string>,
  refusal: Refused,
): Promise<Refused> {
  await sleep(clock, pace.challengeMs())
  const line = await converse(challenge)
  return line === '*' ? refused('cancelled', 'the client gave up') : refusal
}
