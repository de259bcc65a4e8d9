/**
 * Messages between instances, as JSON. Each client of Redis with the right to publish can send them, so each is checked: its length
 * before it is parsed, then its form.
 */
import { z } from 'zod'
import { isInstanceName } from './exchange.ts'

/** A question has a user's name or a filter. */
export const MAX_QUESTION_LENGTH = 16 * 1024
/** 4,000 sessions with long names. A longer answer is shortened by its sender. */
export const MAX_ANSWER_LENGTH = 1024 * 1024
/** A few numbers and the version. */
const MAX_HEARTBEAT_LENGTH = 4096

const id = z.string().regex(/^[\da-f]{32}$/)
const name = z.string().max(300).refine(isInstanceName)

const questionMessage = z.strictObject({ id, from: name, question: z.looseObject({ kind: z.string().max(50) }) })

const answerMessage = z.union([
  z.strictObject({ id, instance: name, answer: z.unknown() }).refine(({ answer }) => answer !== undefined),
  z.strictObject({ id, instance: name, error: z.string().max(200) }),
])

export const facts = z.strictObject({
  pid: z.number().int().nonnegative(),
  version: z.string().max(100),
  /** of the program: 1, and one more after each upgrade without a stop */
  generation: z.number().int().nonnegative(),
  workers: z.number().int().nonnegative(),
  /** absent if no worker tells */
  sessions: z.number().int().nonnegative().optional(),
  /** the start, in seconds of the epoch */
  since: z.number().nonnegative(),
})

/** The facts, beside the host for people who read the key. */
const heartbeat = facts.extend({ host: z.string().max(253) }).transform(({ host: _, ...told }) => told)

/** A question, with its kind and what the kind needs. */
export type Question = { kind: string; [field: string]: unknown }
export type QuestionMessage = { id: string; from: string; question: Question }
export type AnswerMessage = { id: string; instance: string } & ({ answer: unknown } | { error: string })
/** What an instance tells of itself. */
export type Facts = z.output<typeof facts>

/** @returns undefined for a text of another form */
export function parseQuestion(text: string): QuestionMessage | undefined {
  return parse(questionMessage, text, MAX_QUESTION_LENGTH)
}

export function parseAnswer(text: string): AnswerMessage | undefined {
  return parse(answerMessage, text, MAX_ANSWER_LENGTH)
}

export function parseHeartbeat(text: string): Facts | undefined {
  return parse(heartbeat, text, MAX_HEARTBEAT_LENGTH)
}

function parse<T>(schema: z.ZodType<T>, text: string, maxLength: number): T | undefined {
  if (text.length > maxLength) return undefined
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  const read = schema.safeParse(json)
  return read.success ? read.data : undefined
}
