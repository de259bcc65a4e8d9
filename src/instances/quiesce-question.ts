/** The question of a move to all instances: whether the sessions of a user on hold have left a back end. */
import { z } from 'zod'
import type { QuestionKind } from './questions.ts'

/** RFC 5321 4.5.3.1: no mailbox name is longer; a back end's name is shorter. */
const name = z.string().min(1).max(320)

const question = z.strictObject({
  kind: z.literal('quiesce'),
  user: name,
  backend: name,
  /** of the hold */
  token: z.string().regex(/^[\da-f]{32}$/),
})

const answer = z.union([
  z.strictObject({ isHeld: z.literal(true), left: z.number().int().nonnegative() }),
  z.strictObject({ isHeld: z.literal(false), why: z.string().max(500) }),
])

export type QuiesceQuestion = z.output<typeof question>
/** `left`: sessions and logins that are not over. `why`: the instance does not see this hold, so that a login may still begin there. */
export type QuiesceAnswer = z.output<typeof answer>

/** @param handle answers for this instance */
export function quiesceKind(
  handle: (question: QuiesceQuestion) => Promise<QuiesceAnswer>,
): QuestionKind<QuiesceQuestion, QuiesceAnswer> {
  return { kind: 'quiesce', question, answer, handle }
}
