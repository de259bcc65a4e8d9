/** What the router asks: which back end holds this mailbox? A directory answers from its own store and decides nothing. */
import type { X509Certificate } from 'node:crypto'
import type { DirectorySettings, MechanismName, ProtocolName, RoutingSettings } from '../config/settings.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { NoteShortage } from '../errors.ts'
import type { Octets, Text } from '../octets.ts'
import type { Secret } from '../secret.ts'
import type { DirectoryEntry } from './entry.ts'
import type { Trace } from './trace.ts'

/**
 * Where an answer comes from: asked for now; known and current; known from before an outage; known from before a restart in one; or
 * kept for a new user, and not yet committed.
 */
export type AnswerSource = 'directory' | 'cache' | 'stale' | 'snapshot' | 'placed'

/** What a worker remembers of a user: a route that may stand in, or since when it knows that there is none, or another. */
export type StandIn =
  { entry: Omit<DirectoryEntry, 'password'>; ageMs: number; source: 'stale' | 'snapshot' } | { goneMs: number }

/** No, from a directory that checks passwords: nobody else is asked. */
export type DirectoryRefusal = {
  reason: 'authentication-failed' | 'authorization-failed'
  /** for the log alone: the words may tell who exists */
  detail: string
  /** the client hears of it no sooner than after this */
  waitMs: number
  /** the client may not try again on this connection */
  last: boolean
}

export type DirectoryAnswer = { entry: DirectoryEntry | undefined; source: AnswerSource; refusal?: DirectoryRefusal }

type Endpoint = { address: string; port: number }

/** What a client has shown when it was asked for a certificate, and what OpenSSL has against it; undefined: nothing. */
export type ClientCertificate = { shown: X509Certificate | undefined; problem: string | undefined }

/** A login as a directory may want to know it that decides by more than the user, or checks passwords. */
export type LoginFacts = {
  protocol: ProtocolName
  /**
   * How the user shows who he is: by a password (undefined where it is that of another, who acts for him), by a certificate
   * that mailmux has checked, or by a mechanism that only the back end can follow.
   */
  proof:
    | { kind: 'password'; password: Secret<Octets> | undefined }
    | { kind: 'certificate' }
    | { kind: 'relayed'; mechanism: MechanismName }
  /** how many logins this connection has tried, this one included */
  attempt: number
  client: Endpoint
  /** where the client came to, as a PROXY header has it; undefined where there was none */
  proxied: Endpoint | undefined
  /** `certificate` is undefined where clients are not asked for one; `version` and `cipher` where a proxy in front has kept them to itself */
  tls:
    { version: string | undefined; cipher: string | undefined; certificate: ClientCertificate | undefined } | undefined
}

export type Question = {
  /** called only by a directory that wants to know: they cost something to put together */
  facts: () => LoginFacts
  /** the back ends that an answer may name */
  backends: RoutingSettings['backends']
}

/** Told of how the directory is. */
export type DirectoryMonitor = Pick<Metrics, 'directoryIsUp' | 'directoryHasLostData' | 'directoryAnsweredBadly'> & {
  noteShortage?: NoteShortage
}

export type Directory = {
  /**
   * @param user a normalised name
   * @param trace hears of each step; with it nothing is remembered of the lookup
   * @param question what else there is to know; absent where nobody is logging in
   * @throws MuxError `directory-unavailable`, or `route-invalid` where the entry makes no sense
   */
  lookup(user: Text, trace?: Trace, question?: Question): Promise<DirectoryAnswer>
  /**
   * Keeps a back end for a user without a route, so that every instance that asks meanwhile goes to the same one: the first word
   * counts. Forgotten by itself unless it is committed, since most names that nobody knows are guesses.
   * @param forMs how long a login there may take
   * @returns the route where there is one by now; else `placed`, with the back end that is kept. Where that is another than
   *   `backend`, it is kept for somebody else: to go there, ask again with its name.
   * @throws MuxError as `lookup`; it may have been written all the same, and does no harm
   */
  reserve?(user: Text, backend: string, forMs: number): Promise<DirectoryAnswer>
  /**
   * The back end that was kept for the user has let the user in, and becomes the route.
   * @throws MuxError `directory-unavailable` also where it is no longer kept, or the route is another by now: no session may begin
   */
  commit?(user: Text, backend: string): Promise<void>
  /** The last route of a user that is remembered, even where the directory has none any more. Such a user is placed nowhere else. */
  lastKnown?(user: Text): DirectoryEntry | undefined
  /** What another worker of the instance may use while the directory is away. */
  standInFor?(user: Text): StandIn | undefined
  /** A back end has refused the user, so that what is remembered may be wrong: the next lookup asks. */
  invalidate(user: Text): void
  /** @param settings those of the start, but for passwords, keys and CAs, which count from the next connection on */
  renew?(settings: DirectorySettings): void
  /** resolves when the directory can be asked for the first time, and not before */
  readonly connected: Promise<void>
  close(): Promise<void>
}
