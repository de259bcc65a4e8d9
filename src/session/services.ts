/** What `serve.ts` and its parts share: the services of all sessions, and the back end that a session joins. */
import type { Backends } from '../backend/backends.ts'
import type { ListenerSettings } from '../config/settings.ts'
import type { Limits } from '../limits/limits.ts'
import type { Detached, LoginServices } from '../login/login.ts'
import type { RelayAccount } from '../metrics/metrics.ts'
import type { Protocol } from '../protocol/protocol.ts'
import type { SessionWatch } from '../protocol/watch.ts'
import type { Relays } from '../relay/relays.ts'
import type { Traces } from '../trace/traces.ts'
import type { SessionEvents } from './events.ts'
import type { LoginChannel } from './login-channel.ts'
import type { Offer } from './offer.ts'

/** What all sessions share and no session owns. */
export type Services = {
  readonly logins: LoginServices
  readonly events: SessionEvents
  readonly relays: Relays
  /** counts what is relayed; one function for each protocol and back end */
  readonly relayAccount: (protocol: Protocol['name'], backend: string) => RelayAccount
  /** connections at a time, before login and after; may change at any time */
  readonly maxConnections: () => number
  /** undefined where no session is traced */
  readonly traces?: Pick<Traces, 'isOn' | 'begin'> | undefined
  /** undefined where no program follows logins */
  readonly loginChannel?: Pick<LoginChannel, 'follow'> | undefined
  /** undefined where no client is limited */
  readonly limits?: Pick<Limits, 'admitConnection'> | undefined
  /** what a listener offers now, which follows the capabilities of the back ends */
  readonly offer: (listener: ListenerSettings, backends: Backends) => Offer
}

/** The back end of a session that is about to relay. */
export type Joined = Detached & {
  goodbye: Protocol['unaskedGoodbye']
  /** undefined where mailmux does not see the protocol */
  watch: SessionWatch | undefined
}
