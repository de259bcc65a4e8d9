/** What several instances answer, as one answer of the shape that one of them gives. Pure. */
import type { EndedAnswer, MovesAnswer, SessionsAnswer } from '../admin/answers.ts'
import type { Told } from '../instances/asking.ts'
import { countSessions } from './merge.ts'

type Coverage = Pick<SessionsAnswer, 'scope' | 'why' | 'silent' | 'lost'>

/** The oldest of all, no more than `limit`, with the instance that each is at. */
export function mergeSessionsOf(told: Told<SessionsAnswer>, limit: number): SessionsAnswer {
  const [first] = told.answers
  if (isAlone(told) && first) return { ...first.answer, ...coverageOf(told) }
  const sessions = told.answers
    .flatMap(({ instance, answer }) => answer.sessions.map((session) => ({ ...session, instance })))
    .sort((a, b) => b.ageSeconds - a.ageSeconds)
    .slice(0, limit)
  const instances = told.answers.map(({ instance, answer: { total, unconnected, incomplete, generation } }) => ({
    instance,
    ...(generation !== undefined && { generation }),
    total,
    ...(unconnected !== undefined && { unconnected }),
    ...(incomplete && { incomplete }),
  }))
  return { sessions, ...countSessions(instances), instances, ...coverageOf(told) }
}

export function mergeEndedOf(told: Told<EndedAnswer>): EndedAnswer {
  const [first] = told.answers
  if (isAlone(told) && first) return { ...first.answer, ...coverageOf(told) }
  const instances = told.answers.map(({ instance, answer: { ended, workers, incomplete } }) => ({
    instance,
    ended,
    ...(workers && { workers }),
    ...(incomplete && { incomplete }),
  }))
  return { ended: instances.reduce((sum, { ended }) => sum + ended, 0), instances, ...coverageOf(told) }
}

export function mergeMovesOf(told: Told<MovesAnswer>): MovesAnswer {
  const [first] = told.answers
  if (told.scope === 'instance' && first) return { ...first.answer, ...coverageOf(told) }
  const moves = told.answers.flatMap(({ instance, answer }) => answer.moves.map((move) => ({ ...move, instance })))
  return { moves, ...coverageOf(told) }
}

/** With an older generation beside it, even a single instance is two. */
function isAlone({ scope, answers }: Told<unknown>): boolean {
  return scope === 'instance' && answers.length === 1
}

function coverageOf({ scope, incomplete: why, silent, lost }: Told<unknown>): Coverage {
  return {
    scope,
    ...(why !== undefined && { why }),
    ...(silent.length > 0 && { silent }),
    ...(lost.length > 0 && { lost }),
  }
}
