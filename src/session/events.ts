/**
 * What happens to a session, each event once. Subscribers turn events into log lines, metrics and counters of shortages: no other module
 * on the path of a connection calls the log or a metric for what an event tells.
 */
import type { RelayEnding } from '../relay/relays.ts'
import type { ErrorCode, MuxError } from '../errors.ts'
import type { Rejection } from '../limits/rejection.ts'
import type { LoginEvent } from '../login/login.ts'
import type { PhaseEntered, Session } from './session.ts'

export type Ending = {
  cause: RelayEnding['cause'] | 'logout' | ErrorCode
  /** it was to end, and had not come to a safe point when its time was over */
  cut?: true
  bytesFromClient: number
  bytesFromBackend: number
}

export type SessionEvent =
  | LoginEvent
  /** over `max_connections`: closed at once, and never a session */
  | { type: 'turned-away'; listener: string; max: number }
  /** another connection makes room for this one, and is counted when it ends */
  | { type: 'room-made'; listener: string; max: number }
  /** by a limit, before its greeting: closed, and never a session or not one any more */
  | { type: 'rejected'; listener: string; client: string; rejection: Rejection }
  /** a client that is not a load balancer's probe */
  | { type: 'accepted'; session: Session }
  | PhaseEntered
  | { type: 'secured'; version: string; resumed: boolean }
  | { type: 'handshake-failed' }
  | { type: 'relay-started'; session: Session }
  | { type: 'relay-ended'; session: Session; tookMs: number }
  /** an error of mailmux itself */
  | { type: 'failed'; session: Session; error: MuxError }
  /** `detail`: of an error, absent after a normal end */
  | { type: 'ended'; session: Session; ending: Ending; detail: string | undefined }

export type Subscriber = (event: SessionEvent) => void

/** A fixed list: an event costs its object and one call for each subscriber. */
export class SessionEvents {
  #subscribers: readonly Subscriber[]
  readonly #wantsDetails: () => boolean

  /** @param wantsDetails whether the events for debugging are emitted; asked before each */
  constructor(subscribers: readonly Subscriber[], wantsDetails: () => boolean = () => false) {
    this.#subscribers = subscribers
    this.#wantsDetails = wantsDetails
  }

  get wantsDetails(): boolean {
    return this.#wantsDetails()
  }

  /** Adds a subscriber for a while. @returns removes it */
  attach(subscriber: Subscriber): () => void {
    this.#subscribers = [...this.#subscribers, subscriber]
    return () => void (this.#subscribers = this.#subscribers.filter((other) => other !== subscriber))
  }

  emit(event: SessionEvent): void {
    for (const subscriber of this.#subscribers) subscriber(event)
  }
}
