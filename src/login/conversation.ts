/**
 * The client's part in a login that is carried line for line: whether it has begun, and how long the client has taken. An answer to a
 * challenge has a deadline of its own: no person is asked, and meanwhile a connection to the back end is open for a client without a proof.
 */
import { MuxError } from '../errors.ts'
import type { Credentials } from '../protocol/protocol.ts'

/** For all answers of one login: a phone that computes many iterations of SCRAM over a bad network needs less. */
const CLIENT_ANSWERS_MS = 10_000

/** What is to be done around each answer of the client. */
export type Pauses = {
  /** the back end has asked, and has nothing to do until the client answers */
  asked: () => void
  /** the client has answered; the back end hears of it when this resolves */
  answered: () => Promise<void>
}

export type Conversation = {
  /** to be used in place of the ones that are watched */
  credentials: Credentials
  /** The client has been asked for a proof: another attempt would ask for a second one. */
  hasBegun: () => boolean
  /** how long the login has waited for the client so far, and for its turn after each answer */
  clientMs: () => number
  /** From now on these are called. */
  pauseWith: (pauses: Pauses) => void
}

/** @param fail ends the wait for the client's line with an error, `client-login-timeout` */
export function watchConversation(watched: Credentials, fail: (error: MuxError) => void): Conversation {
  if (watched.kind !== 'relayed') {
    return { credentials: watched, hasBegun: () => false, clientMs: () => 0, pauseWith: () => undefined }
  }
  let begun = false
  let spentMs = 0
  let pauses: Pauses | undefined
  const expire = (): void =>
    fail(new MuxError('client-login-timeout', `no answer to a challenge within ${CLIENT_ANSWERS_MS} ms`))
  const converse = async (challenge: string): Promise<string> => {
    begun = true
    pauses?.asked()
    const askedMs = performance.now()
    const timer = setTimeout(expire, Math.max(0, CLIENT_ANSWERS_MS - spentMs))
    try {
      const line = await watched.converse(challenge)
      clearTimeout(timer)
      await pauses?.answered()
      return line
    } finally {
      clearTimeout(timer)
      spentMs += performance.now() - askedMs
    }
  }
  return {
    credentials: { ...watched, converse },
    hasBegun: () => begun,
    clientMs: () => spentMs,
    pauseWith: (given) => (pauses = given),
  }
}
