/** Answers questions of other instances, no faster than a limit: each client of Redis with the right to publish can ask. */
import type { Log } from '../log.ts'
import type { Exchange } from './exchange.ts'
import { parseQuestion, type AnswerMessage } from './messages.ts'
import type { NoteDropped } from './notes.ts'
import { reasonFor, type Questions } from './questions.ts'

/** A bulk move of 20 users at a time asks less often than this. */
const MAX_PER_SECOND = 200
/** Answers that are being put together, each up to 1 MiB. */
const MAX_UNDER_WAY = 32

export type AnsweringParts = {
  self: string
  questions: Pick<Questions, 'answer'>
  send: Exchange['answer']
  noteDropped: NoteDropped
  log: Pick<Log, 'debug'>
  nowMs?: () => number
}

/** @returns takes the text of a question that has arrived */
export function createAnswering({
  self,
  questions,
  send,
  noteDropped,
  log,
  nowMs = () => performance.now(),
}: AnsweringParts): (text: string) => void {
  let underWay = 0
  let secondMs = -Infinity
  let thisSecond = 0

  function isTooMany(): boolean {
    const now = nowMs()
    if (now - secondMs >= 1000) {
      secondMs = now
      thisSecond = 0
    }
    thisSecond++
    return thisSecond > MAX_PER_SECOND || underWay >= MAX_UNDER_WAY
  }

  return (text) => {
    if (isTooMany()) return noteDropped('too-many')
    const message = parseQuestion(text)
    if (!message) return noteDropped('malformed')
    const { id, from, question } = message
    if (from === self) return
    underWay++
    const envelope = JSON.stringify({ id, instance: self }).slice(0, -1)
    questions
      .answer(question, from)
      .then(
        (answer) => `${envelope},"answer":${answer}}`,
        (error: unknown) => {
          log.debug({ kind: question.kind, err: error }, 'question of another instance not answered')
          return JSON.stringify({ id, instance: self, error: reasonFor(error) } satisfies AnswerMessage)
        },
      )
      .then((answer) => send(from, answer))
      .catch(() => undefined) // the exchange has reported it, and the asker names this instance
      .finally(() => underWay--)
  }
}
