/**
 * The instances of one site: this one is announced by a heartbeat, the others are listed and asked. Redis carries all of it, and mail
 * needs none of it: without Redis, or while it is away, everything here covers this instance only, and says so.
 */
import { z } from 'zod'
import { createAnswering } from './answering.ts'
import { createAsking, type Told } from './asking.ts'
import { HEARTBEAT_SECONDS, instanceName, splitName, type OpenExchange } from './exchange.ts'
import { startHeartbeat } from './heartbeat.ts'
import { facts as factsForm, parseHeartbeat, type Facts, type Question } from './messages.ts'
import { createDropNotes, createFaultNotes } from './notes.ts'
import { createQuestions, type QuestionKind } from './questions.ts'
import type { Log } from '../log.ts'

export type InstanceState = 'up' | 'silent' | 'lost'

/** One instance. Its facts are absent if they are not known. */
export type InstanceReport = Partial<Facts> & {
  id: string
  host: string
  /** `silent`: has a heartbeat and did not answer; `lost`: its heartbeat has expired, and it did not stop in order */
  state: InstanceState
  isSelf: boolean
  /** seconds since the last heartbeat, of one that did not answer */
  heartbeatSeconds?: number
}

export type Instances = {
  /** of this instance */
  readonly name: string
  /** Adds a kind of question that this instance answers. @returns asks it of all instances */
  register: <Q extends Question, A>(kind: QuestionKind<Q, A>) => (question: Q) => Promise<Told<A>>
  list: () => Promise<{ instances: InstanceReport[] } & Pick<Told<Facts>, 'scope' | 'incomplete'>>
  /** instances with a heartbeat; 1 while the others are not known */
  count: () => number
  /** Removes the heartbeat: this instance has stopped in order. */
  close: () => Promise<void>
}

export type InstancesParts = {
  /** as the system names it */
  host: string
  /** 12 hex digits, random */
  id: string
  /** of now; bounded in time */
  facts: () => Promise<Facts>
  /** undefined if there is none */
  openExchange: OpenExchange | undefined
  /** why there is no exchange */
  alone: string
  log: Log
}

/** Connects in the background. */
export function openInstances({ host, id, facts, openExchange, alone, log }: InstancesParts): Instances {
  const name = instanceName(host, id)
  const noteDropped = createDropNotes(log)
  const questions = createQuestions()
  // Its messages arrive later than the parts below are there.
  const exchange = openExchange?.(name, {
    onQuestion: (text) => answering?.(text),
    onAnswer: (text) => asking.onAnswer(text),
    onListening: () => heartbeat?.beat(),
    onConnected: () => heartbeat?.beat(),
    onResult: createFaultNotes(log),
  })
  const asking = createAsking(name, exchange, alone, noteDropped)
  const answering =
    exchange &&
    createAnswering({ self: name, questions, send: (to, text) => exchange.answer(to, text), noteDropped, log })
  const heartbeat = exchange && startHeartbeat(name, exchange, facts)
  const aboutItself: QuestionKind<{ kind: 'instance' }, Facts> = {
    kind: 'instance',
    question: z.strictObject({ kind: z.literal('instance') }),
    answer: factsForm,
    handle: facts,
  }
  questions.add(aboutItself)

  /** What the last heartbeat tells of one that did not answer. */
  async function lastFacts(instance: string): Promise<Partial<Facts>> {
    const text = await exchange?.heartbeatOf(instance).catch(() => undefined)
    return (text !== undefined && parseHeartbeat(text)) || {}
  }

  async function agesOf(missing: readonly string[]): Promise<ReadonlyMap<string, number>> {
    if (missing.length === 0 || !exchange) return new Map()
    const members = await exchange.members().catch(() => [])
    return new Map(members.map((member) => [member.name, member.ageSeconds]))
  }

  return {
    name,
    register(kind) {
      questions.add(kind)
      return (question) => asking.ask(kind, question)
    },
    async list() {
      const { answers, silent, lost, scope, incomplete } = await asking.ask(aboutItself, { kind: 'instance' })
      const ages = await agesOf([...silent, ...lost])
      const missing = [...silent, ...lost].map(async (instance): Promise<InstanceReport> => {
        const age = ages.get(instance)
        const state = lost.includes(instance) || (age ?? 0) >= HEARTBEAT_SECONDS ? 'lost' : 'silent'
        return {
          ...splitName(instance),
          state,
          isSelf: instance === name,
          ...(age !== undefined && { heartbeatSeconds: age }),
          ...(await lastFacts(instance)),
        }
      })
      const up = answers.map(({ instance, answer }): InstanceReport => ({
        ...splitName(instance),
        state: 'up',
        isSelf: instance === name,
        ...answer,
      }))
      const instances = [...up, ...(await Promise.all(missing))]
      return { instances: instances.sort(byName), scope, incomplete }
    },
    count: () => heartbeat?.count() ?? 1,
    async close() {
      await heartbeat?.stop()
      exchange?.close()
    },
  }
}

function byName(a: InstanceReport, b: InstanceReport): number {
  return a.host.localeCompare(b.host) || a.id.localeCompare(b.id)
}
