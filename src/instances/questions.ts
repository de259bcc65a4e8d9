/** The kinds of questions that instances answer each other. Each is registered once, with its form, its answer's form, and its handler. */
import type { z } from 'zod'
import { MAX_ANSWER_LENGTH, type Question } from './messages.ts'

export type QuestionKind<Q extends Question, A> = {
  kind: Q['kind']
  /** Of the whole question. Strict: a filter with a field that this version does not know would match too much. */
  question: z.ZodType<Q>
  answer: z.ZodType<A>
  /** Answers for this instance. A rejection reaches the asker as a missing answer. @param from the name of the instance that asks */
  handle: (question: Q, from: string) => Promise<A>
  /** The answer with a part of its list, if the list does not fit into a message. @param share of the list that fits, below 1 */
  shorten?: (answer: A, share: number) => A
}

export type Questions = {
  /** @throws Error if the kind exists */
  add<Q extends Question, A>(kind: QuestionKind<Q, A>): void
  /** @returns the JSON text of the answer. @throws Error with a short text for the asker */
  answer(question: Question, from: string): Promise<string>
}

/** The text is sent to the asker. */
class Unanswerable extends Error {}

export function createQuestions(): Questions {
  const kinds = new Map<string, (question: Question, from: string) => Promise<string>>()
  return {
    add({ kind, question: form, handle, shorten }) {
      if (kinds.has(kind)) throw new Error(`two handlers for the question ${kind}`)
      kinds.set(kind, async (question, from) => {
        const read = form.safeParse(question)
        if (!read.success) throw new Unanswerable('unknown form of the question')
        const answer = await handle(read.data, from)
        const text = JSON.stringify(answer)
        const most = MAX_ANSWER_LENGTH - ENVELOPE_LENGTH
        if (text.length <= most) return text
        // The entries are not equally long: half of the share leaves space for the longer ones.
        for (const share of shorten ? [most / text.length / 2, 0] : []) {
          const short = JSON.stringify(shorten?.(answer, share))
          if (short.length <= most) return short
        }
        throw new Unanswerable('the answer is too long')
      })
    },
    async answer(question, from) {
      const answer = kinds.get(question.kind)
      if (!answer) throw new Unanswerable('unknown kind of question')
      return answer(question, from)
    },
  }
}

/** The id of the question and the name of the instance, around an answer. */
const ENVELOPE_LENGTH = 400

/** @returns the text for the asker: details of a defect stay in this instance's log */
export function reasonFor(error: unknown): string {
  return error instanceof Unanswerable ? error.message : 'no answer'
}
