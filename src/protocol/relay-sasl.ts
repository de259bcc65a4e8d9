/** The client's own SASL exchange with the back end, for every protocol: mailmux passes messages on and learns nothing (RFC 5802, RFC 7628). */
import type { MechanismName } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { Octets } from '../octets.ts'
import type { RelayedCredentials } from './protocol.ts'
import { encodeBase64 } from './sasl.ts'

/** What differs from protocol to protocol. */
export type SaslRelay<Answer> = {
  /** the mechanisms that the back end offers */
  offered: readonly MechanismName[]
  /** how the protocol writes an offered mechanism, such as `AUTH=PLAIN`; for the log */
  describe: (mechanism: MechanismName) => string
  /** Runs the exchange with the back end. @param first the first message in base64. @param respond answers a challenge */
  authenticate: (
    mechanism: MechanismName,
    first: string,
    respond: (challenge: string) => Promise<string>,
  ) => Promise<Answer>
  /** whether the back end's answer after a cancel is the expected refusal */
  isRefusal: (answer: Answer) => boolean
}

/**
 * @param user the name at the back end
 * @returns the back end's answer, or `cancelled` where the client has given up (`*`)
 * @throws MuxError `backend-no-mechanism`, or what `authenticate` throws
 */
export async function relaySasl<Answer>(
  user: Octets,
  { mechanism, firstMessage, converse }: RelayedCredentials,
  { offered, describe, authenticate, isRefusal }: SaslRelay<Answer>,
): Promise<Answer | 'cancelled'> {
  if (!offered.includes(mechanism))
    throw new MuxError('backend-no-mechanism', `the back end does not offer ${describe(mechanism)}`)
  const message = firstMessage(user)
  if (message === undefined)
    throw new MuxError('backend-no-mechanism', `${mechanism} cannot carry another name than the client’s own`)
  const said = { cancel: false }
  const answer = await authenticate(mechanism, encodeBase64(message.reveal()), async (challenge) => {
    const response = await converse(challenge)
    said.cancel = response === '*'
    return response
  })
  return said.cancel && isRefusal(answer) ? 'cancelled' : answer
}
