/** One request of a socketmap: `name SP key`. A lookup is no login: it places no user, and counts as no attempt. */
import { asMuxError, type MuxError } from '../errors.ts'
import { octetsOf } from '../octets.ts'
import type { World } from '../world.ts'
import { NOT_FOUND, replyToError, replyToRoute, UNKNOWN_MAP, type Reply } from './reply.ts'

/** As in `transport_maps = socketmap:inet:127.0.0.1:24091:delivery`. */
const MAP = 'delivery'

/** What a lookup needs of a world. */
export type LookupWorld = Pick<World, 'router'> & { recipientDelimiter: string }

/**
 * @param onError called for each failure, with the reply that hides its details
 * @returns undefined for what is no request
 */
export async function answerRequest(
  payload: Buffer,
  { router, recipientDelimiter }: LookupWorld,
  onError: (error: MuxError, reply: Reply) => void,
): Promise<Reply | undefined> {
  const space = payload.indexOf(' ')
  if (space <= 0) return undefined
  if (payload.toString('latin1', 0, space) !== MAP) return UNKNOWN_MAP
  const key = octetsOf(payload.subarray(space + 1))
  // Postfix completes every address, so that a key without a domain is the name of a domain, or of a local account of its machine.
  if (!key.includes('@')) return NOT_FOUND
  const name = router.identify(key, { defaultDomain: undefined, delimiters: '@', masterSeparator: undefined })
  if (name?.domain === undefined) return NOT_FOUND
  try {
    return replyToRoute(await router.byRecipient(name, recipientDelimiter))
  } catch (thrown) {
    const error = asMuxError(thrown)
    const reply = replyToError(error)
    onError(error, reply)
    return reply
  }
}
