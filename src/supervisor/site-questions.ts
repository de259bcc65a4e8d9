/** The questions about sessions that instances answer each other: the same that an operator may ask of one. */
import { z } from 'zod'
import {
  endedAnswer,
  movesAnswer,
  sessionsAnswer,
  type EndedAnswer,
  type MovesAnswer,
  type SessionsAnswer,
} from '../admin/answers.ts'
import { filterForm, hasFilter, MAX_OVER_MS, MOST_SESSIONS, type SessionAnswers } from '../admin/session-routes.ts'
import type { Instances } from '../instances/instances.ts'
import type { Log } from '../log.ts'
import { withElders } from './generation/elders.ts'
import type { GenerationAnswers } from './generation/messages.ts'
import { mergeEndedOf, mergeMovesOf, mergeSessionsOf } from './merge-instances.ts'

const sessionsQuestion = z.strictObject({
  kind: z.literal('sessions'),
  ...filterForm,
  limit: z.number().int().nonnegative().max(MOST_SESSIONS),
})

const rebalanceForm = z.strictObject({
  share: z.number().positive().max(1),
  overMs: z.number().int().nonnegative().max(MAX_OVER_MS).optional(),
})

/** A filter, or `all`: without either the sender has made a mistake, which must not end every session. */
const endQuestion = z
  .strictObject({
    kind: z.literal('endSessions'),
    ...filterForm,
    now: z.boolean(),
    all: z.boolean(),
    rebalance: rebalanceForm.optional(),
  })
  .refine(({ kind: _, now, all, rebalance, ...filter }) => all !== hasFilter(filter) && !(now && rebalance))

/**
 * @param own of this instance
 * @param elders of the generations before this one
 * @returns the same of all instances
 */
export function askForSessions(
  { name, register }: Pick<Instances, 'name' | 'register'>,
  own: SessionAnswers,
  log: Log,
  elders: Pick<GenerationAnswers, 'sessions' | 'endSessions'>,
): SessionAnswers {
  const askSessions = register({
    kind: 'sessions',
    question: sessionsQuestion,
    answer: sessionsAnswer,
    handle: ({ kind: _, ...filter }): Promise<SessionsAnswer> => own.sessions(filter),
    shorten: (answer, share) => ({ ...answer, sessions: answer.sessions.slice(0, answer.sessions.length * share) }),
  })
  const askEnd = register({
    kind: 'endSessions',
    question: endQuestion,
    answer: endedAnswer,
    async handle({ kind: _, all: __, ...order }, from): Promise<EndedAnswer> {
      const answer = await own.endSessions(order)
      const { ended, incomplete } = answer
      // The instance that the operator has asked writes its own line, with the operator's address.
      if (from !== name) log.info({ from, ...order, ended, incomplete }, 'sessions ended by operator')
      return answer
    },
  })
  return {
    async sessions(filter) {
      const [told, older] = await Promise.all([askSessions({ kind: 'sessions', ...filter }), elders.sessions(filter)])
      return mergeSessionsOf(withElders(told, older), filter.limit)
    },
    endSessions: async ({ now, rebalance, ...filter }) => {
      const how = { now, all: !hasFilter(filter), ...(rebalance && { rebalance }) }
      const [told, older] = await Promise.all([
        askEnd({ kind: 'endSessions', ...filter, ...how }),
        elders.endSessions({ ...filter, now, ...(rebalance && { rebalance }) }),
      ])
      return mergeEndedOf(withElders(told, older))
    },
  }
}

/** @param own of this instance. @returns the moves that any instance was told of */
export function askForMoves(
  { register }: Pick<Instances, 'register'>,
  own: () => MovesAnswer,
): () => Promise<MovesAnswer> {
  const ask = register({
    kind: 'moves',
    question: z.strictObject({ kind: z.literal('moves') }),
    answer: movesAnswer,
    handle: () => Promise.resolve(own()),
    shorten: (answer, share) => ({ ...answer, moves: answer.moves.slice(0, answer.moves.length * share) }),
  })
  return async () => mergeMovesOf(await ask({ kind: 'moves' }))
}

/** @param refresh of this instance. @returns has all instances read the store of blocks, and says how many sessions end for that */
export function askForBlocks(
  { register }: Pick<Instances, 'register'>,
  refresh: () => Promise<EndedAnswer>,
): () => Promise<EndedAnswer> {
  const ask = register({
    kind: 'refreshBlocks',
    question: z.strictObject({ kind: z.literal('refreshBlocks') }),
    answer: endedAnswer,
    handle: refresh,
  })
  return async () => mergeEndedOf(await ask({ kind: 'refreshBlocks' }))
}
