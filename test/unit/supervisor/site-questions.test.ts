/** Sessions of all instances: listed and ended by a question that each answers for itself, with an exchange in memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  endedAnswer,
  movesAnswer,
  sessionsAnswer,
  type MovesAnswer,
  type SessionAnswer,
} from '../../../src/admin/answers.ts'
import type { SessionAnswers } from '../../../src/admin/session-routes.ts'
import { openInstances } from '../../../src/instances/instances.ts'
import type { Log } from '../../../src/log.ts'
import { NO_ELDERS } from '../../../src/supervisor/generation/no-predecessor.ts'
import { askForMoves, askForSessions } from '../../../src/supervisor/site-questions.ts'
import { openMemoryHub, type MemoryHub } from '../instances/memory-exchange.ts'

const NONE: SessionAnswers = {
  sessions: () => Promise.resolve({ sessions: [], total: 0 }),
  endSessions: () => Promise.resolve({ ended: 0 }),
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function session(id: string, ageSeconds: number, user = 'alice@example.test'): SessionAnswer {
  return { id, client: '192.0.2.1', listener: 'imap', protocol: 'imap', phase: 'relaying', user, ageSeconds }
}

let ids = 0
function join(
  hub: MemoryHub | undefined,
  host: string,
  own: Partial<SessionAnswers>,
  moves: MovesAnswer['moves'] = [],
) {
  const lines: unknown[] = []
  const keep = (fields: object | string, message?: string): void => void lines.push({ message, ...Object(fields) })
  const log: Log = { debug: keep, info: keep, warn: keep, error: keep }
  const instances = openInstances({
    host,
    id: (ids++).toString(16).padStart(12, '0'),
    facts: () => Promise.resolve({ pid: 1, version: '1', generation: 1, workers: 1, since: 1 }),
    openExchange: hub?.open,
    alone: 'the directory is not Redis',
    log,
  })
  return {
    name: instances.name,
    close: instances.close,
    site: askForSessions(instances, { ...NONE, ...own }, log, NO_ELDERS),
    moves: askForMoves(instances, () => ({ moves })),
    lines,
  }
}

test('lists the oldest sessions of all instances, each with its instance', async (t) => {
  const hub = openMemoryHub()
  const asked: unknown[] = []
  const first = join(hub, 'mail1', {
    sessions(filter) {
      asked.push(filter)
      return Promise.resolve({ sessions: [session('a', 30), session('b', 10)], total: 2 })
    },
  })
  const second = join(hub, 'mail2', {
    sessions(filter) {
      asked.push(filter)
      return Promise.resolve({ sessions: [{ ...session('c', 20), worker: 2 }], total: 7, incomplete: [1] })
    },
  })
  t.after(() => Promise.all([first.close(), second.close()]))
  await settle()
  const answer = await first.site.sessions({ user: 'alice@example.test', limit: 2 })
  assert.deepEqual(sessionsAnswer.parse(answer), answer)
  assert.deepEqual(
    answer.sessions.map(({ id, instance, worker }) => [id, instance, worker]),
    [
      ['a', first.name, undefined],
      ['c', second.name, 2],
    ],
  )
  assert.deepEqual([answer.total, answer.scope, answer.silent, answer.lost], [9, 'all', undefined, undefined])
  assert.deepEqual(answer.instances, [
    { instance: first.name, total: 2 },
    { instance: second.name, total: 7, incomplete: [1] },
  ])
  const filter = { user: 'alice@example.test', limit: 2 }
  assert.deepEqual(asked, [filter, filter])
})

test('lists as many of a great number of sessions as fit, and counts all', async (t) => {
  const hub = openMemoryHub()
  const first = join(hub, 'mail1', {})
  const many = Array.from({ length: 10_000 }, (_, index) => session(`s-${index}`, 10_000 - index))
  const second = join(hub, 'mail2', { sessions: () => Promise.resolve({ sessions: many, total: 50_000 }) })
  t.after(() => Promise.all([first.close(), second.close()]))
  await settle()
  const answer = await first.site.sessions({ limit: 10_000 })
  assert.equal(answer.total, 50_000)
  assert.ok(answer.sessions.length > 1000 && answer.sessions.length < 10_000, String(answer.sessions.length))
  assert.equal(answer.sessions[0]?.id, 's-0')
})

test('ends sessions at all instances, and leaves a line in the log of each', async (t) => {
  const hub = openMemoryHub()
  const orders: unknown[] = []
  const endSessions: SessionAnswers['endSessions'] = (order) => {
    orders.push(order)
    return Promise.resolve({ ended: orders.length, workers: [{ worker: 1, ended: orders.length }] })
  }
  const [first, second] = [join(hub, 'mail1', { endSessions }), join(hub, 'mail2', { endSessions })]
  t.after(() => Promise.all([first.close(), second.close()]))
  await settle()
  const answer = await first.site.endSessions({ user: 'alice@example.test', now: true })
  assert.deepEqual(endedAnswer.parse(answer), answer)
  assert.deepEqual(answer, {
    ended: 3,
    instances: [
      { instance: first.name, ended: 1, workers: [{ worker: 1, ended: 1 }] },
      { instance: second.name, ended: 2, workers: [{ worker: 1, ended: 2 }] },
    ],
    scope: 'all',
  })
  const order = { user: 'alice@example.test', now: true }
  assert.deepEqual(orders, [order, order])
  // The API of the first writes its line, with the address of the operator.
  assert.deepEqual(first.lines, [])
  assert.deepEqual(second.lines, [
    { message: 'sessions ended by operator', from: first.name, ...order, ended: 2, incomplete: undefined },
  ])
  await second.site.endSessions({ now: false })
  assert.equal(orders.length, 4)
})

test('ends a share of the sessions at all instances', async (t) => {
  const hub = openMemoryHub()
  const orders: unknown[] = []
  const endSessions: SessionAnswers['endSessions'] = (order) => {
    orders.push(order)
    return Promise.resolve({ ended: 2 })
  }
  const [first, second] = [join(hub, 'mail1', { endSessions }), join(hub, 'mail2', { endSessions })]
  t.after(() => Promise.all([first.close(), second.close()]))
  await settle()
  const order = { now: false, rebalance: { share: 0.2, overMs: 600_000 } }
  assert.equal((await first.site.endSessions(order)).ended, 4)
  assert.equal((await first.site.endSessions({ now: false, user: 'a', rebalance: { share: 0.2 } })).ended, 4)
  const ofUser = { now: false, user: 'a', rebalance: { share: 0.2 } }
  assert.deepEqual(orders, [order, order, ofUser, ofUser])
  assert.deepEqual(second.lines.length, 2)
})

test('ends nothing for an order without a filter that does not say all, or with a filter of another form', async (t) => {
  const hub = openMemoryHub()
  const orders: unknown[] = []
  const only = join(hub, 'mail1', {
    endSessions(order) {
      orders.push(order)
      return Promise.resolve({ ended: 1 })
    },
  })
  t.after(only.close)
  await settle()
  const send = async (question: object): Promise<void> => {
    const envelope = { id: 'a'.repeat(32), from: 'mail9/0123456789ab' }
    hub.publishQuestion(JSON.stringify({ ...envelope, question: { kind: 'endSessions', ...question } }))
    await settle()
  }
  for (const question of [
    { now: true },
    { now: true, all: false },
    { all: true },
    { now: true, all: true, user: 'alice' },
    { now: true, all: false, user: '' },
    { now: true, all: false, user: ['alice'] },
    { now: true, all: false, client: '999.0.0.1' },
    { now: true, all: false, usr: 'alice' },
    { now: 'yes', all: false, user: 'alice' },
    { now: true, all: true, rebalance: { share: 0.2 } },
    { now: false, all: true, rebalance: { share: 0 } },
    { now: false, all: true, rebalance: { share: 1.5 } },
    { now: false, all: true, rebalance: { share: 0.2, overMs: 1e12 } },
    { now: false, all: true, rebalance: { share: 0.2, over: '10m' } },
    { now: false, all: false, rebalance: { share: 0.2 } },
  ])
    await send(question)
  assert.deepEqual(orders, [])
  await send({ now: true, all: false, user: 'alice' })
  assert.deepEqual(orders, [{ now: true, user: 'alice' }])
})

test('answers like one instance without an exchange, and says so', async () => {
  const only = join(undefined, 'mail1', {
    sessions: () => Promise.resolve({ sessions: [session('a', 30)], total: 1, incomplete: [2] }),
    endSessions: () => Promise.resolve({ ended: 4, workers: [] }),
  })
  const covers = { scope: 'instance', why: 'the directory is not Redis' }
  assert.deepEqual(await only.site.sessions({ limit: 5 }), {
    sessions: [session('a', 30)],
    total: 1,
    incomplete: [2],
    ...covers,
  })
  assert.deepEqual(await only.site.endSessions({ now: true }), { ended: 4, workers: [], ...covers })
})

test('lists the moves that were reported to each instance, with the instance', async (t) => {
  const hub = openMemoryHub()
  const counts = { total: 3, moved: 1, failed: 0, unknown: 0, running: 1, ageSeconds: 5 }
  const users = [{ user: 'ann@example.test', from: 'store1', to: 'store2', step: 'final' as const }]
  const move = { run: '0123456789ab', by: 'mail2/9', users, ...counts }
  const [first, second] = [join(hub, 'mail1', {}), join(hub, 'mail2', {}, [move])]
  t.after(() => Promise.all([first.close(), second.close()]))
  await settle()
  const answer = await first.moves()
  assert.deepEqual(movesAnswer.parse(answer), answer)
  assert.deepEqual(answer, { moves: [{ ...move, instance: second.name }], scope: 'all' })
  const alone = await join(undefined, 'mail1', {}, [move]).moves()
  assert.deepEqual(alone, { moves: [move], scope: 'instance', why: 'the directory is not Redis' })
})
