/** Asks all instances a question, and names those that have not answered within the deadline. */
import { randomBytes } from 'node:crypto'
import type { Exchange, Member } from './exchange.ts'
import { HEARTBEAT_SECONDS } from './exchange.ts'
import { MAX_QUESTION_LENGTH, parseAnswer, type AnswerMessage, type Question } from './messages.ts'
import type { NoteDropped } from './notes.ts'
import type { QuestionKind } from './questions.ts'

/** For all answers. An instance gives its workers one second; an operator waits for this. */
export const ANSWER_DEADLINE_MS = 2000
/** Characters of unmerged answers to all questions under way. 100 instances with 4,000 sessions each take half of it. */
const MAX_HELD_LENGTH = 128 * 1024 * 1024

/** What the instances have answered. */
export type Told<A> = {
  /** this instance's own first */
  answers: { instance: string; answer: A }[]
  /** instances that have a heartbeat and gave no valid answer in time */
  silent: string[]
  /** instances without a heartbeat that did not stop in order, in the last 10 minutes: crashed, frozen, or cut off from Redis */
  lost: string[]
  /** `instance`: there is no exchange; `partial`: there may be others that are not named, as the exchange fails */
  scope: 'all' | 'instance' | 'partial'
  /** why other instances are not asked, or may be missing; undefined if `scope` is `all` */
  incomplete: string | undefined
}

export type Asking = {
  /** Never waits longer than the deadline and two commands of the exchange. @throws what the own handler throws, if no instance answers */
  ask<Q extends Question, A>(kind: QuestionKind<Q, A>, question: NoInfer<Q>): Promise<Told<A>>
  /** @param text of an answer that has arrived */
  onAnswer(text: string): void
}

type Pending = {
  answers: Map<string, AnswerMessage>
  /** undefined while the members are not known, so that the deadline decides */
  expected: ReadonlySet<string> | undefined
  length: number
  done: () => void
}

/** @param self the name of this instance. @param alone why there is no exchange */
export function createAsking(
  self: string,
  exchange: Pick<Exchange, 'members' | 'ask'> | undefined,
  alone: string,
  noteDropped: NoteDropped,
): Asking {
  const pending = new Map<string, Pending>()
  let heldLength = 0

  async function askOthers(
    question: Question,
  ): Promise<Omit<Told<unknown>, 'answers'> & { messages: AnswerMessage[] }> {
    if (!exchange) return { messages: [], silent: [], lost: [], scope: 'instance', incomplete: alone }
    const id = randomBytes(16).toString('hex')
    const text = JSON.stringify({ id, from: self, question })
    if (text.length > MAX_QUESTION_LENGTH) throw new Error('the question is too long')
    const listed = await listMembers(exchange, self)
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const live = new Set(listed.live)
    const answers = new Map<string, AnswerMessage>()
    const waiting: Pending = {
      answers,
      expected: listed.cause === undefined ? live : undefined,
      length: 0,
      done: () => resolve(undefined),
    }
    let incomplete = listed.cause
    let timer: NodeJS.Timeout | undefined
    pending.set(id, waiting)
    try {
      if (waiting.expected === undefined || live.size > 0) {
        await exchange.ask(text)
        timer = setTimeout(waiting.done, ANSWER_DEADLINE_MS)
        if (!hasAll(waiting)) await promise
      }
    } catch (error) {
      incomplete = messageOf(error)
    } finally {
      clearTimeout(timer)
      pending.delete(id)
      heldLength -= waiting.length
    }
    const silent = listed.live.filter((name) => !answers.has(name))
    return {
      messages: [...answers.values()],
      silent: silent.length === 0 ? [] : await withoutLeft(exchange, self, silent),
      lost: listed.lost,
      scope: incomplete === undefined ? 'all' : 'partial',
      incomplete,
    }
  }

  return {
    async ask<Q extends Question, A>(kind: QuestionKind<Q, A>, question: NoInfer<Q>) {
      const [own, others] = await Promise.all([answerHere(kind, question, self), askOthers(question)])
      const told: Told<A> = {
        answers: 'answer' in own ? [{ instance: self, answer: own.answer }] : [],
        silent: 'answer' in own ? [] : [self],
        lost: others.lost,
        scope: others.scope,
        incomplete: others.incomplete,
      }
      for (const message of others.messages) {
        const read = 'answer' in message ? kind.answer.safeParse(message.answer) : undefined
        if (read?.success) told.answers.push({ instance: message.instance, answer: read.data })
        else told.silent.push(message.instance)
        if (read && !read.success) noteDropped('malformed')
      }
      told.silent.push(...others.silent)
      if (told.answers.length === 0 && 'error' in own) throw own.error
      return told
    },
    onAnswer(text) {
      const message = parseAnswer(text)
      if (!message) {
        noteDropped('malformed')
        return
      }
      const waiting = pending.get(message.id)
      // The answer to a question that is over is late, and no fault.
      if (!waiting || waiting.answers.has(message.instance) || message.instance === self) return
      if (heldLength + text.length > MAX_HELD_LENGTH) {
        noteDropped('too-many')
        return
      }
      heldLength += text.length
      waiting.length += text.length
      waiting.answers.set(message.instance, message)
      if (hasAll(waiting)) waiting.done()
    },
  }
}

function hasAll({ expected, answers }: Pending): boolean {
  return expected !== undefined && [...expected].every((name) => answers.has(name))
}

/** The own handler has the same deadline as the others. */
async function answerHere<Q extends Question, A>(
  { handle }: QuestionKind<Q, A>,
  question: Q,
  self: string,
): Promise<{ answer: A } | { error: unknown }> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<{ error: unknown }>((resolve) => {
    timer = setTimeout(() => resolve({ error: new Error('no answer in time') }), ANSWER_DEADLINE_MS)
  })
  const answer = handle(question, self).then(
    (answer) => ({ answer }),
    (error: unknown) => ({ error }),
  )
  const first = await Promise.race([answer, late])
  clearTimeout(timer)
  return first
}

type Listed = { live: string[]; lost: string[]; cause: string | undefined }

async function listMembers({ members }: Pick<Exchange, 'members'>, self: string): Promise<Listed> {
  try {
    const others = (await members()).filter(({ name }) => name !== self)
    return {
      live: others.filter(isLive).map(({ name }) => name),
      lost: others.filter((member) => !isLive(member)).map(({ name }) => name),
      cause: undefined,
    }
  } catch (error) {
    return { live: [], lost: [], cause: messageOf(error) }
  }
}

const isLive = ({ ageSeconds }: Member): boolean => ageSeconds < HEARTBEAT_SECONDS

/** An instance that has stopped in order meanwhile has nothing to answer. */
async function withoutLeft(exchange: Pick<Exchange, 'members'>, self: string, silent: string[]): Promise<string[]> {
  const { live, lost, cause } = await listMembers(exchange, self)
  if (cause !== undefined) return silent
  const present = new Set([...live, ...lost])
  return silent.filter((name) => present.has(name))
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'the exchange fails'
}
