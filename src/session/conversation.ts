/** The client's part in a login that is carried line for line: whether it has begun, whose turn it is, and how long the client has taken. */
import type { Credentials } from '../protocol/protocol.ts'

export type Conversation = {
  /** to be used in place of the ones that are watched */
  credentials: Credentials
  /** The client has been asked for a proof: another attempt would ask for a second one. */
  hasBegun: () => boolean
  /** The client has a challenge to answer; a deadline that passes now is missed by the client. */
  awaitsClient: () => boolean
  /** how long the client has taken for its answers so far */
  clientMs: () => number
}

export function watchConversation(watched: Credentials): Conversation {
  if (watched.kind !== 'relayed') {
    return { credentials: watched, hasBegun: () => false, awaitsClient: () => false, clientMs: () => 0 }
  }
  let begun = false
  let askedMs: number | undefined
  let spentMs = 0
  const converse = async (challenge: string): Promise<string> => {
    begun = true
    askedMs = performance.now()
    const line = await watched.converse(challenge)
    spentMs += performance.now() - askedMs
    askedMs = undefined
    return line
  }
  return {
    credentials: { ...watched, converse },
    hasBegun: () => begun,
    awaitsClient: () => askedMs !== undefined,
    clientMs: () => spentMs,
  }
}
