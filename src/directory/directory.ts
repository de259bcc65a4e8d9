/** The interface of a directory: which back end holds this mailbox? A directory answers from its store and decides nothing. */
import type { X509Certificate } from 'node:crypto'
import type {
  BackendState,
  DirectorySettings,
  MechanismName,
  ProtocolName,
  RoutingSettings,
} from '../config/settings.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { NoteShortage } from '../errors.ts'
import type { Octets, Text } from '../octets.ts'
import type { Secret } from '../secret.ts'
import type { DirectoryEntry } from './entry.ts'
import type { StoredState } from './redis/backend-state.ts'
import type { Trace } from './trace.ts'

/**
 * Where an answer comes from. `directory`: the directory answered now. `cache`: remembered and current. `stale`: remembered from
 * before an outage. `snapshot`: remembered from before a restart. `placed`: reserved for a new user, and not yet committed.
 */
export type AnswerSource = 'directory' | 'cache' | 'stale' | 'snapshot' | 'placed'

/** What a worker remembers of a user: a route that may stand in, or how long ago that route was removed or changed. */
export type StandIn =
  { entry: Omit<DirectoryEntry, 'password'>; ageMs: number; source: 'stale' | 'snapshot' } | { goneMs: number }

/** The refusal of a directory that checks passwords. No other source is asked. */
export type DirectoryRefusal = {
  reason: 'authentication-failed' | 'authorization-failed'
  /** for the log only: the words may tell which users exist */
  detail: string
  /** least time before the client gets the answer */
  waitMs: number
  /** the connection ends with this refusal */
  last: boolean
}

export type DirectoryAnswer = { entry: DirectoryEntry | undefined; source: AnswerSource; refusal?: DirectoryRefusal }

type Endpoint = { address: string; port: number }

/** The client's certificate, and the error of OpenSSL's check. `shown` is undefined if the client sent none, `problem` if the check passed. */
export type ClientCertificate = { shown: X509Certificate | undefined; problem: string | undefined }

/** The facts of a login, for a directory that checks passwords or decides by more than the user. */
export type LoginFacts = {
  protocol: ProtocolName
  /**
   * How the user authenticates: by a password (undefined if it is the password of a master user), by a certificate that mailmux
   * has checked, or by a mechanism that only the back end can check.
   */
  proof:
    | { kind: 'password'; password: Secret<Octets> | undefined }
    | { kind: 'certificate' }
    | { kind: 'relayed'; mechanism: MechanismName }
  /** number of the login on this connection, from 1 */
  attempt: number
  client: Endpoint
  /** the destination address in the PROXY header; undefined without a header */
  proxied: Endpoint | undefined
  /** `certificate` is undefined if the listener requests none; `version` and `cipher` if a proxy ended TLS and did not report them */
  tls:
    { version: string | undefined; cipher: string | undefined; certificate: ClientCertificate | undefined } | undefined
}

export type Question = {
  /** called only by a directory that uses the facts, because collecting them has a cost */
  facts: () => LoginFacts
  /** the back ends that an answer may name */
  backends: RoutingSettings['backends']
}

export type BackendStateAnswer = StoredState | { wrong: string } | undefined

/** An operator's order for the state of a back end. */
export type BackendStateOrder = {
  state: BackendState
  /** a duration such as `10m`, of a drain alone */
  over: string | undefined
  /** the operator, for the messages to other operators */
  by: string
  /** takes the place of another operator's drain */
  isForced: boolean
  /** of a drain alone: users whose route names the back end get another one by placement, at their next login */
  reassign?: boolean | undefined
}

/** `held`: another operator drains the back end over another time; nothing was changed. `wrong`: nothing was changed either. */
export type BackendStateResult =
  | { result: 'changed' | 'unchanged' }
  | { result: 'held'; over: string | undefined; by: string | undefined; sinceMs: number | undefined }
  | { result: 'wrong'; why: string }

/** Receives the state of the directory. */
export type DirectoryMonitor = Pick<Metrics, 'directoryIsUp' | 'directoryHasLostData' | 'directoryAnsweredBadly'> & {
  noteShortage?: NoteShortage
  /** The snapshot file had all remembered routes at this time, in ms since 1970. */
  snapshotIsComplete?: Metrics['snapshotIsComplete']
}

export type Directory = {
  /**
   * @param user a normalised name
   * @param trace called for each step; a traced lookup stores nothing
   * @param question further facts of the login; absent if the lookup is not for a login
   * @throws MuxError `directory-unavailable`, or `route-invalid` where the entry makes no sense
   */
  lookup(user: Text, trace?: Trace, question?: Question): Promise<DirectoryAnswer>
  /** Whether there are no routes in it now, so that a lookup would be a wait for nothing. Absent: there may be some. */
  isEmpty?: () => boolean
  /**
   * Reserves a back end for a user without a route, so that all instances choose the same one: the first reservation counts.
   * A reservation that is not committed expires, because most unknown names are guesses.
   * @param forMs how long a login there may take
   * @returns the route if one exists by now; else `placed`, with the reserved back end. If that differs from `backend`, another
   *   login has reserved it: to use it, call this again with its name.
   * @throws MuxError as `lookup`. The reservation may exist nevertheless, and does no harm.
   */
  reserve?(user: Text, backend: string, forMs: number): Promise<DirectoryAnswer>
  /**
   * Makes the reserved back end, which has accepted the user, the user's route.
   * @throws MuxError `directory-unavailable`, also if the reservation has expired or the route has changed: no session may begin
   */
  commit?(user: Text, backend: string): Promise<void>
  /**
   * Changes the route of a user from one back end to another, if it still names the first, the user is active, and Redis still has the
   * order to reassign the users of that back end and no state that keeps the other one from taking them.
   * @returns the route after this; undefined if the order does not stand any more, and nothing was changed
   * @throws MuxError as `lookup`. The change may take effect nevertheless.
   */
  reassign?(user: Text, from: string, to: string): Promise<DirectoryEntry | undefined>
  /** The last remembered route of a user, even if the directory has none any more. Such a user is placed on no other back end. */
  lastKnown?(user: Text): DirectoryEntry | undefined
  /** What another worker of the instance may use while the directory is unavailable. */
  standInFor?(user: Text): StandIn | undefined
  /** Marks the remembered route of a user as stale, after a refusal by the back end: the next lookup asks the directory. */
  invalidate(user: Text): void
  /** @param hear called for each change of a route, with its user; undefined: any route may have changed, unnoticed meanwhile */
  onRouteChanged?(hear: (user: Text | undefined) => void): void
  /**
   * The state that an operator has given a back end in the directory; undefined if it has none; or what is wrong with it.
   * @throws MuxError `directory-unavailable`
   */
  backendState?(backend: string): Promise<BackendStateAnswer>
  /**
   * Gives a back end a state for all instances.
   * @param order undefined: removes the state, so that the routing file counts again
   * @throws MuxError `directory-unavailable`. The order may take effect nevertheless.
   */
  setBackendState?(backend: string, order: BackendStateOrder | undefined): Promise<BackendStateResult>
  /** @param hear called for each change of a state; undefined: any may have changed, unnoticed meanwhile */
  onBackendChanged?(hear: (backend: string | undefined) => void): void
  /** @param settings for which it need not be replaced: see `mustReplace` */
  renew?(settings: DirectorySettings): void
  /** resolves when the directory can answer for the first time */
  readonly connected: Promise<void>
  /** Whether the directory can answer now. @throws Error with the reason */
  check?(): Promise<void>
  /** @param how `isReplaced`: another directory is in force, and has the file of known routes */
  close(how?: { isReplaced: boolean }): Promise<void>
}
