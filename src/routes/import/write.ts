/**
 * Writes many routes to Redis, in pipelines. Each route is written by the same script as a single one: a route that is as the file says
 * is not written again, so that a second run goes on where the first has ended, and instances are told of no change.
 */
import { createHash } from 'node:crypto'
import type { Bulk, BulkCommand } from '../../directory/redis/bulk.ts'
import { RedisFailure } from '../../directory/redis/errors.ts'
import {
  readBrief,
  SET_ROUTES,
  setArguments,
  toRoute,
  type BriefAnswer,
  type RawRoute,
} from '../../directory/redis/route-writer.ts'
import type { WrongLine } from '../formats/format.ts'
import type { GoodRoute } from './check.ts'

/** In one pipeline. */
const BATCH = 2000
/** By one script, for which logins wait: about a millisecond. In a Cluster the routes of a slot. */
const AT_A_STEP = 100
/** Pipelines on their way: while Redis works at one, the next ones are put together. */
const AT_ONCE = 4

export type Written = { added: number; changed: number; unchanged: number; held: number; failed: number }

export type WriteParts = {
  bulk: Pick<Bulk, 'run' | 'group'>
  prefix: string
  /** Compares, and writes nothing. */
  isDry: boolean
  /** Called before each pipeline. @throws Error to end */
  beforeBatch: () => Promise<void>
  /** called for each route that Redis refuses, and for each that a move holds */
  tell: (wrong: WrongLine) => void
  /** called after each pipeline */
  onWritten: (written: Readonly<Written>) => void
}

export type RouteWriter = {
  /** Resolves when there is room for more. @throws RedisFailure; the error of `beforeBatch` */
  write: (routes: readonly GoodRoute[]) => Promise<void>
  /** Waits for what is on its way. @throws as `write` */
  end: () => Promise<Written>
}

const SCRIPT_SHA = createHash('sha1').update(SET_ROUTES).digest('hex')

export function createRouteWriter({ bulk, prefix, isDry, beforeBatch, tell, onWritten }: WriteParts): RouteWriter {
  const written: Written = { added: 0, changed: 0, unchanged: 0, held: 0, failed: 0 }
  const underWay = new Set<Promise<void>>()
  let failure: { error: unknown } | undefined
  let waiting: GoodRoute[] = []
  const keyOf = (user: string): string => `${prefix}user:${user}`

  async function send(batch: readonly GoodRoute[]): Promise<void> {
    await beforeBatch()
    if (isDry) await compare(batch)
    else await set(batch)
    onWritten(written)
  }

  async function set(batch: readonly GoodRoute[]): Promise<void> {
    const groups = bulk.group(batch, ({ user }) => keyOf(user), AT_A_STEP)
    const command = (word: 'eval' | 'evalsha', routes: readonly GoodRoute[]): BulkCommand => {
      const keys = routes.map(({ user }) => keyOf(user))
      const script = word === 'eval' ? SET_ROUTES : SCRIPT_SHA
      const values = routes.flatMap(({ change }) => setArguments(change))
      return { key: keys[0] ?? '', words: [word, script, String(keys.length), ...keys, '1', ...values] }
    }
    const replies = await bulk.run(groups.map((routes) => command('evalsha', routes)))
    // A server does not have the script yet, or any more: EVAL leaves it there.
    const unknown = [...replies.keys()].filter((index) => isNoScript(replies[index]))
    if (unknown.length > 0) {
      const again = await bulk.run(unknown.map((index) => command('eval', groups[index] ?? [])))
      for (const [at, index] of unknown.entries()) replies[index] = again[at]
    }
    for (const [index, routes] of groups.entries()) {
      const reply = replies[index]
      if (reply instanceof Error) throw new RedisFailure(`Redis: ${reply.message}`, { isAnswer: true })
      const answers = readBrief(reply)
      for (const [at, { line, user }] of routes.entries()) count(line, user, answers[at])
    }
  }

  function count(line: number, user: string, answer: BriefAnswer | undefined): void {
    if (answer === 'held') hold(line, user)
    else if (answer === 'added' || answer === 'changed' || answer === 'unchanged') written[answer]++
    else refuse(line, user)
  }

  async function compare(batch: readonly GoodRoute[]): Promise<void> {
    const words = ['backend', 'login', 'status', 'hold']
    const replies = await bulk.run(
      batch.map(({ user }) => ({ key: keyOf(user), words: ['hmget', keyOf(user), ...words] })),
    )
    for (const [index, { line, user, change }] of batch.entries()) {
      const reply = replies[index]
      if (reply instanceof Error) {
        if (!reply.message.includes('WRONGTYPE')) throw new RedisFailure(`Redis: ${reply.message}`, { isAnswer: true })
        refuse(line, user)
        continue
      }
      const fields = Array.isArray(reply) ? reply.map((field) => (typeof field === 'string' ? field : null)) : []
      const before = toRoute(fields)
      if (before.status === 'hold' && /^\S+ \d+$/u.test(fields[3] ?? '')) hold(line, user)
      else if (before.backend === undefined) written.added++
      else if (isAs(before, change)) written.unchanged++
      else written.changed++
    }
  }

  function hold(line: number, user: string): void {
    written.held++
    tell({ line, why: `${user} is being moved, and keeps the route` })
  }

  function refuse(line: number, user: string): void {
    written.failed++
    tell({ line, why: `${user}: the key in Redis is not a hash` })
  }

  async function start(batch: readonly GoodRoute[]): Promise<void> {
    while (underWay.size >= AT_ONCE) await Promise.race(underWay)
    if (failure) throw failure.error
    const sent = send(batch)
      .catch((error: unknown) => void (failure ??= { error }))
      .finally(() => underWay.delete(sent))
    underWay.add(sent)
  }

  return {
    async write(routes) {
      waiting = waiting.length === 0 ? [...routes] : waiting.concat(routes)
      let from = 0
      for (; waiting.length - from >= BATCH; from += BATCH) await start(waiting.slice(from, from + BATCH))
      waiting = waiting.slice(from)
    },
    async end() {
      if (waiting.length > 0) await start(waiting)
      waiting = []
      await Promise.all(underWay)
      if (failure) throw failure.error
      return written
    },
  }
}

const isNoScript = (reply: unknown): boolean => reply instanceof Error && reply.message.startsWith('NOSCRIPT')

function isAs(before: RawRoute, { backend, login, status }: GoodRoute['change']): boolean {
  const statusOf = (text: string | undefined): string => text ?? 'active'
  return (
    before.backend === backend &&
    (login === undefined || before.login === (login ?? undefined)) &&
    (status === undefined || statusOf(before.status) === status)
  )
}
