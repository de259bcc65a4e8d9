/**
 * The messages between two generations of one mailmux: the running one, and the one that an upgrade has started, which is its child. The
 * channel is a socket pair that no other process has, and lasts until the older generation has ended.
 */
import type { EndedAnswer, SessionsAnswer } from '../../admin/answers.ts'
import type { TraceAnswer } from '../../admin/trace-routes.ts'
import type { Answers } from '../../answers.ts'
import type { SessionAnswers } from '../../admin/session-routes.ts'
import type { Block } from '../../blocks/block.ts'
import type { Facts } from '../../instances/messages.ts'
import type { Caps, Held, Uses } from '../../leases/lessor.ts'
import type { LedgerChange } from '../../limits/ledger-change.ts'
import type { Reading } from '../../metrics/readings.ts'
import type { Secret } from '../../secret.ts'
import type { ServiceManager } from '../notify.ts'
import type { Packed } from '../packed.ts'

type First<F extends (...args: never[]) => unknown> = Parameters<F>[0]

/** The answer of one generation. `instance` is its name among the instances of the site. */
export type Of<A> = { instance: string; generation: number; answer: A }

/** The questions to an older generation, which answers for those before it too. */
export type GenerationAsk =
  | { what: 'readings' }
  | { what: 'facts' }
  | { what: 'sessions'; filter: First<SessionAnswers['sessions']> }
  /** Applies these caps for all of its workers. */
  | { what: 'lease'; caps: Caps }
  | { what: 'endSessions'; order: First<SessionAnswers['endSessions']> }
  | { what: 'trace'; order: First<Answers['trace']> }

export type GenerationAnswer = {
  readings: Reading[]
  facts: Of<Facts>[]
  lease: Uses
  sessions: Of<SessionsAnswer>[]
  endSessions: Of<EndedAnswer>[]
  trace: Of<TraceAnswer>[]
}

/** Answers the questions of operators. */
export type GenerationAnswers = {
  readings(): Promise<Reading[]>
  facts(): Promise<Of<Facts>[]>
  sessions(filter: First<SessionAnswers['sessions']>): Promise<Of<SessionsAnswer>[]>
  endSessions(order: First<SessionAnswers['endSessions']>): Promise<Of<EndedAnswer>[]>
  trace(order: First<Answers['trace']>): Promise<Of<TraceAnswer>[]>
}

/** What the new generation takes over. */
export type Inheritance = {
  generation: number
  ticketSecret: Packed<Secret>
  /** whose variables the older generation has taken out of the environment */
  serviceManager: ServiceManager | undefined
  /** those in force: without a store that all instances share, no other process has them */
  blocks: readonly Block[]
  /** the parts of back ends' limits that the older generation holds; undefined: a store tells all instances */
  leases: Held | undefined
  /** the Unix socket of the admin HTTP, which the new generation replaces; absent: there is none */
  adminSocket?: string | undefined
  /** in the order of the descriptors from FIRST_PORT on */
  ports: { host: string; port: number }[]
}

/** What may have changed since the start of the new generation. */
export type Acceptance = Pick<Inheritance, 'blocks' | 'leases'>

export type ToSuccessor =
  | ({ kind: 'inherit' } & Inheritance)
  /** what the limits on clients count */
  | { kind: 'counts'; changes: readonly LedgerChange[] }
  /** It may accept from the ports now. The rest: as it is by now */
  | ({ kind: 'accept' } & Acceptance)
  | { kind: 'answer'; id: number; answer: unknown }
  | { kind: 'no-answer'; id: number; why: string }
  /** the counts of the generation that ends now, and of those before it */
  | { kind: 'last'; readings: Reading[] }

export type ToPredecessor =
  /** It is ready to accept, and waits for `accept`. */
  | { kind: 'prepared' }
  /** It serves. */
  | { kind: 'ready' }
  /** It cannot serve; `why` is for the operator. */
  | { kind: 'failed'; why: string }
  | { kind: 'ask'; id: number; ask: GenerationAsk }
  /** The older generation ends at once. */
  | { kind: 'abandon' }

/** The descriptor of the first port that a new generation inherits: it follows the standard descriptors and the channel. */
export const FIRST_PORT = 4
