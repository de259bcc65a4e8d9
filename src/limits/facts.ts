/** What the limits are told of a connection, a login and a session. */
import type { ProtocolName } from '../protocol/registry.ts'
import type { ListenerLimits } from './listener-limits.ts'

/** `address`: of the client; of the PROXY header where there is one. `limits`: undefined where the listener has none. */
export type ConnectionFacts = {
  protocol: ProtocolName
  listener: string
  address: string
  limits: ListenerLimits | undefined
}

/** `user`: the normalised name; undefined for a name that no user can have. */
export type LoginFacts = ConnectionFacts & { user: string | undefined }

/** `mailbox`: the name of the user at the back end */
export type SessionFacts = LoginFacts & { backend: string; mailbox: string }
