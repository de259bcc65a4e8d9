/** The generation before this one, as the process that an upgrade has started sees it: gives its ports over, answers for its sessions, and ends. */
import { createInheritedSockets, type InheritedSockets } from '../../listener/inherited.ts'
import type { LedgerChange } from '../../limits/ledger-change.ts'
import { addToPast, type Reading } from '../../metrics/readings.ts'
import type { Secret } from '../../secret.ts'
import type { ServiceManager } from '../notify.ts'
import { unpack } from '../packed.ts'
import type { Elder } from './counts.ts'
import {
  FIRST_PORT,
  type GenerationAnswer,
  type GenerationAnswers,
  type GenerationAsk,
  type Acceptance,
  type ToPredecessor,
  type ToSuccessor,
} from './messages.ts'

/** The channel to the process that has started this one. */
export type PredecessorChannel = {
  /** Settles when the message is sent, or cannot be. */
  send: (message: ToPredecessor) => Promise<void>
  onMessage: (hear: (message: ToSuccessor) => void) => void
  /** `gone` is called when the older generation has ended. */
  onGone: (gone: () => void) => void
}

/** For the answer of the older generations to a question: they ask their own workers, which have a second. */
const ANSWER_MS = 3000

export type Predecessor = GenerationAnswers & {
  /** of this process */
  generation: number
  ticketSecret: Secret
  /** which started the first generation; undefined: none did */
  serviceManager: ServiceManager | undefined
  inherited: InheritedSockets
  /** its Unix socket of the admin HTTP */
  adminSocket?: string | undefined
  /** as it was at the start of this process */
  before: Acceptance
  /** This process is ready to accept. Settles when it may. @returns what has changed there by then */
  mayAccept(): Promise<Acceptance>
  /** for `createCounts` */
  elder: Elder
  /** This process serves: the older generation stops accepting. */
  ready(): void
  /** This process cannot serve. */
  failed(why: string): Promise<void>
  hasEnded(): boolean
  /** Settles when the older generation, and those before it, have ended. */
  ended: Promise<void>
  /** Ends the older generations at once. */
  abandon(): void
}

/** @returns what the older generation gives over, as soon as it has sent that. @throws Error if it has ended before */
export async function meetPredecessor({ send, onMessage, onGone }: PredecessorChannel): Promise<Predecessor> {
  const inheritance = Promise.withResolvers<ToSuccessor & { kind: 'inherit' }>()
  const accepted = Promise.withResolvers<Acceptance | undefined>()
  const ended = Promise.withResolvers<undefined>()
  const waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (why: Error) => void }>()
  let hearCounts: (changes: readonly LedgerChange[]) => void = () => undefined
  let hasEnded = false
  let questions = 0
  let last: Reading[] = []
  let past: Promise<Reading[]> | undefined

  onMessage((message) => {
    switch (message.kind) {
      case 'inherit':
        return inheritance.resolve(message)
      case 'accept':
        return accepted.resolve(message)
      case 'counts':
        return hearCounts(message.changes)
      case 'answer':
        return waiting.get(message.id)?.resolve(message.answer)
      case 'no-answer':
        return waiting.get(message.id)?.reject(new Error(message.why))
      case 'last':
        last = message.readings
    }
  })
  onGone(() => {
    hasEnded = true
    inheritance.reject(new Error('the older generation has ended'))
    // A predecessor that was killed leaves its ports to this process.
    accepted.resolve(undefined)
    for (const { reject } of waiting.values()) reject(new Error('the older generation has ended'))
    past = countsOf(last)
    ended.resolve(undefined)
  })

  function ask<A extends GenerationAsk>(question: A): Promise<GenerationAnswer[A['what']]> {
    if (hasEnded) return Promise.reject(new Error('the older generation has ended'))
    const id = questions++
    const answer = Promise.withResolvers<unknown>()
    const timer = setTimeout(() => answer.reject(new Error('the older generation does not answer')), ANSWER_MS)
    waiting.set(id, answer)
    void send({ kind: 'ask', id, ask: question })
    return answer.promise.finally(() => {
      clearTimeout(timer)
      waiting.delete(id)
    }) as Promise<GenerationAnswer[A['what']]>
  }
  async function tell(message: ToPredecessor): Promise<void> {
    if (!hasEnded) await send(message)
  }

  const { generation, ticketSecret, serviceManager, blocks, leases, ports, adminSocket } = await inheritance.promise
  return {
    generation,
    ticketSecret: unpack(ticketSecret),
    serviceManager,
    before: { blocks, leases },
    elder: {
      leases,
      lease: (caps) => ask({ what: 'lease', caps }),
      onCounts: (hear) => void (hearCounts = hear),
      ended: ended.promise,
    },
    adminSocket,
    inherited: createInheritedSockets(ports.map((port, index) => ({ ...port, descriptor: FIRST_PORT + index }))),
    async mayAccept() {
      void tell({ kind: 'prepared' })
      return (await accepted.promise) ?? { blocks, leases: undefined }
    },
    ready: () => void tell({ kind: 'ready' }),
    failed: (why) => tell({ kind: 'failed', why }),
    async readings() {
      if (past) return past
      const told = await ask({ what: 'readings' }).catch(() => undefined)
      if (told) last = told
      return last
    },
    facts: () => ask({ what: 'facts' }).catch(() => []),
    sessions: (filter) => ask({ what: 'sessions', filter }).catch(() => []),
    endSessions: (order) => ask({ what: 'endSessions', order }).catch(() => []),
    trace: (order) => ask({ what: 'trace', order }).catch(() => []),
    hasEnded: () => hasEnded,
    ended: ended.promise,
    abandon: () => void tell({ kind: 'abandon' }),
  }
}

/** What processes that have ended have counted. What they stood at apart from that has ended with them. */
async function countsOf(readings: readonly Reading[]): Promise<Reading[]> {
  let past: Reading = []
  for (const reading of readings) past = await addToPast(past, reading)
  return [past]
}
