/** Instances of one site with an exchange in memory: heartbeats, questions to all, and the report on those that do not answer. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { z } from 'zod'
import type { Log } from '../../../src/log.ts'
import { openInstances, type Instances, type InstancesParts } from '../../../src/instances/instances.ts'
import type { Facts } from '../../../src/instances/messages.ts'
import { openMemoryHub, type MemoryHub } from './memory-exchange.ts'

const ALONE = 'the directory is not Redis'
const FACTS: Facts = { pid: 7, version: '1.2.3', generation: 1, workers: 2, sessions: 5, since: 1_700_000_000 }

/** Promises that wait for nothing else than promises are settled afterwards. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function keepLog(): { log: Log; lines: string[] } {
  const lines: string[] = []
  const keep = (fields: object | string, text?: string): void =>
    void lines.push(`${text ?? ''} ${JSON.stringify(fields)}`)
  return { lines, log: { debug: () => undefined, info: keep, warn: keep, error: keep } }
}

let ids = 0
function open(hub: MemoryHub | undefined, host: string, parts: Partial<InstancesParts> = {}): Instances {
  return openInstances({
    host,
    id: (ids++).toString(16).padStart(12, '0'),
    facts: () => Promise.resolve(FACTS),
    openExchange: hub?.open,
    alone: ALONE,
    log: keepLog().log,
    ...parts,
  })
}

/** Runs with timers that the test advances. */
async function startSite(t: TestContext, ...hosts: string[]): Promise<{ hub: MemoryHub; instances: Instances[] }> {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const hub = openMemoryHub()
  const instances = hosts.map((host) => open(hub, host))
  await settle()
  return { hub, instances }
}

/** What is answered once the deadline of 2 s has passed. */
async function afterDeadline<T>(t: TestContext, answer: Promise<T>): Promise<T> {
  await settle()
  t.mock.timers.tick(1999)
  let isOver = false
  void answer.finally(() => (isOver = true)).catch(() => undefined)
  await settle()
  assert.equal(isOver, false, 'answered before the deadline')
  t.mock.timers.tick(1)
  return answer
}

const numberKind = (handle: (of: { kind: 'number'; plus: number }) => Promise<{ number: number }>) => ({
  kind: 'number' as const,
  question: z.strictObject({ kind: z.literal('number'), plus: z.number() }),
  answer: z.object({ number: z.number() }),
  handle,
})

test('writes a heartbeat at the start and each 5 s, and removes it at the stop', async (t) => {
  const { hub, instances } = await startSite(t, 'mail1')
  const [first] = instances as [Instances]
  const text = () => hub.heartbeats().map((one) => JSON.parse(one.text) as object)
  assert.deepEqual(text(), [{ host: 'mail1', ...FACTS }])
  for (let beat = 0; beat < 20; beat++) {
    hub.advance(5)
    t.mock.timers.tick(5000)
    await settle()
    assert.deepEqual(
      (await first.list()).instances.map(({ state }) => state),
      ['up'],
    )
    assert.equal(first.count(), 1)
  }
  await first.close()
  assert.deepEqual(hub.heartbeats(), [])
})

test('writes the heartbeat as soon as commands reach the store, if messages arrived before', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const hub = openMemoryHub()
  hub.fail('ECONNREFUSED')
  open(hub, 'mail1')
  await settle()
  assert.deepEqual(hub.heartbeats(), [], 'the heartbeat after the subscription is lost')
  hub.fail(undefined)
  await settle()
  assert.equal(hub.heartbeats().length, 1)
})

test('asks every instance and ends as soon as all have answered', async (t) => {
  const { instances } = await startSite(t, 'mail1', 'mail2', 'mail3')
  const asks = instances.map((one, index) =>
    one.register(numberKind(({ plus }) => Promise.resolve({ number: plus + index }))),
  )
  const told = await asks[1]!({ kind: 'number', plus: 10 })
  assert.deepEqual(
    told.answers.map(({ answer }) => answer.number),
    [11, 10, 12],
  )
  assert.deepEqual(told.answers[0]?.instance, instances[1]?.name)
  assert.deepEqual([told.silent, told.lost, told.scope, told.incomplete], [[], [], 'all', undefined])
})

test('names a frozen instance after 2 s, and reports it as lost once its heartbeat has expired', async (t) => {
  const { hub, instances } = await startSite(t, 'mail1', 'mail2')
  const [first, second] = instances as [Instances, Instances]
  hub.advance(3)
  hub.freeze(second.name)
  const { instances: listed, scope } = await afterDeadline(t, first.list())
  assert.equal(scope, 'all')
  assert.deepEqual(
    listed.map(({ host, state, isSelf }) => ({ host, state, isSelf })),
    [
      { host: 'mail1', state: 'up', isSelf: true },
      { host: 'mail2', state: 'silent', isSelf: false },
    ],
  )
  // Its facts are those of its heartbeat.
  assert.equal(listed[1]?.version, '1.2.3')
  assert.equal(listed[1].heartbeatSeconds, 3)
  hub.advance(12)
  const later = await first.list()
  assert.deepEqual(
    later.instances.map(({ state }) => state),
    ['up', 'lost'],
  )
  assert.equal(later.instances[1]?.heartbeatSeconds, 15)
  assert.equal(later.instances[1].version, undefined)
  hub.advance(600)
  assert.equal((await first.list()).instances.length, 1)
})

test('does not name an instance that stops in order while it is asked', async (t) => {
  const { hub, instances } = await startSite(t, 'mail1', 'mail2')
  const [first, second] = instances as [Instances, Instances]
  hub.freeze(second.name)
  const answer = first.list()
  await settle()
  await second.close()
  assert.deepEqual(
    (await afterDeadline(t, answer)).instances.map(({ host }) => host),
    ['mail1'],
  )
})

test('lists an instance that cannot answer or does not support the question as silent, without waiting', async (t) => {
  const { instances } = await startSite(t, 'mail1', 'mail2', 'mail3')
  const [first, second, third] = instances as [Instances, Instances, Instances]
  const ask = first.register(numberKind(() => Promise.resolve({ number: 1 })))
  second.register(numberKind(() => Promise.reject(new Error('no worker answers'))))
  const told = await ask({ kind: 'number', plus: 0 })
  assert.deepEqual(told.answers.length, 1)
  assert.deepEqual(told.silent.sort(), [second.name, third.name])
})

test('ignores an answer of another form, names its sender, and logs it once', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const hub = openMemoryHub()
  const { log, lines } = keepLog()
  const first = open(hub, 'mail1', { log })
  const second = open(hub, 'mail2')
  await settle()
  const ask = first.register(numberKind(() => Promise.resolve({ number: 1 })))
  second.register({
    kind: 'number',
    question: z.looseObject({ kind: z.literal('number') }),
    answer: z.unknown(),
    handle: () => Promise.resolve({ number: 'many' }),
  })
  for (let count = 0; count < 3; count++) {
    const told = await ask({ kind: 'number', plus: 0 })
    assert.deepEqual([told.answers.length, told.silent], [1, [second.name]])
  }
  assert.deepEqual(lines, ['message between instances ignored {"why":"malformed"}'])
})

test('ignores malformed, oversized and surplus messages', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const hub = openMemoryHub()
  const { log, lines } = keepLog()
  const asked: object[] = []
  const first = open(hub, 'mail1', { log })
  const ask = first.register(
    numberKind((question) => {
      asked.push(question)
      return Promise.resolve({ number: 1 })
    }),
  )
  await settle()
  const id = '0123456789abcdef0123456789abcdef'
  const from = 'mail9/0123456789ab'
  const good = { id, from, question: { kind: 'number', plus: 1 } }
  for (const text of [
    '',
    'hello',
    '[]',
    '{"__proto__":{}}',
    JSON.stringify({ ...good, id: 'short' }),
    JSON.stringify({ ...good, from: 'mail9' }),
    JSON.stringify({ ...good, from: '../../x/0123456789ab' }),
    JSON.stringify({ ...good, question: 'number' }),
    JSON.stringify({ ...good, more: 1 }),
    JSON.stringify({ ...good, question: { kind: 'number', plus: 1, pad: 'x'.repeat(20_000) } }),
  ])
    hub.publishQuestion(text)
  for (const text of ['', '{}', JSON.stringify({ id, instance: from }), 'x'.repeat(2_000_000)])
    hub.publishAnswer(first.name, text)
  await settle()
  assert.deepEqual([asked, hub.answers], [[], []])
  assert.deepEqual(lines, ['message between instances ignored {"why":"malformed"}'])
  // A known kind in an unknown form: a filter with an unknown field must not match everything.
  hub.publishQuestion(JSON.stringify({ ...good, question: { kind: 'number', plus: 1, user: 'alice' } }))
  await settle()
  assert.deepEqual(asked, [])
  assert.match(hub.answers[0] ?? '', /"error":"unknown form of the question"/)
  // The guard lets the right form through.
  hub.publishQuestion(JSON.stringify(good))
  await settle()
  assert.deepEqual(asked, [good.question])
  // An answer after the deadline is no fault.
  hub.publishAnswer(first.name, JSON.stringify({ id, instance: from, answer: { number: 5 } }))
  assert.equal((await ask({ kind: 'number', plus: 0 })).answers.length, 1)
  assert.equal(lines.length, 1)
})

test('answers at most 200 questions a second', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const hub = openMemoryHub()
  const { log, lines } = keepLog()
  const first = open(hub, 'mail1', { log })
  let asked = 0
  first.register(numberKind(() => Promise.resolve({ number: asked++ })))
  await settle()
  const question = { id: 'a'.repeat(32), from: 'mail9/0123456789ab', question: { kind: 'number', plus: 1 } }
  for (let count = 0; count < 1000; count++) {
    hub.publishQuestion(JSON.stringify(question))
    if (count % 20 === 0) await settle()
  }
  await settle()
  // The test may take more than one second on a busy machine.
  assert.ok(asked >= 200 && asked < 1000, String(asked))
  assert.deepEqual(lines, ['message between instances ignored {"why":"too-many"}'])
})

test('shortens an answer over 1 MiB, and answers with an error if it cannot', async (t) => {
  const { instances } = await startSite(t, 'mail1', 'mail2', 'mail3')
  const kind = (names: string[], shorten: boolean) => ({
    kind: 'names' as const,
    question: z.strictObject({ kind: z.literal('names') }),
    answer: z.object({ names: z.array(z.string()), total: z.number() }),
    handle: () => Promise.resolve({ names, total: names.length }),
    ...(shorten && {
      shorten: (answer: { names: string[]; total: number }, share: number) => ({
        names: answer.names.slice(0, answer.names.length * share),
        total: answer.total,
      }),
    }),
  })
  const long = Array.from({ length: 2000 }, () => 'x'.repeat(1000))
  const [first, second, third] = instances as [Instances, Instances, Instances]
  const ask = first.register(kind(['one'], true))
  second.register(kind(long, true))
  third.register(kind(long, false))
  const told = await ask({ kind: 'names' })
  const cut = told.answers[1]?.answer
  assert.equal(cut?.total, 2000)
  assert.ok(cut.names.length > 400 && cut.names.length < 1050, String(cut.names.length))
  assert.deepEqual(told.silent, [third.name])
})

test('covers this instance only without an exchange, and says so', async () => {
  const only = open(undefined, 'mail1')
  const ask = only.register(numberKind(({ plus }) => Promise.resolve({ number: plus })))
  const told = await ask({ kind: 'number', plus: 3 })
  assert.deepEqual(
    [told.answers.length, told.silent, told.lost, told.scope, told.incomplete],
    [1, [], [], 'instance', ALONE],
  )
  const { instances, scope, incomplete } = await only.list()
  assert.deepEqual([instances.length, instances[0]?.isSelf, scope, incomplete], [1, true, 'instance', ALONE])
  assert.equal(only.count(), 1)
  await only.close()
})

test('throws what its own handler throws if it is the only one', async () => {
  const only = open(undefined, 'mail1')
  const ask = only.register(numberKind(() => Promise.reject(new Error('no worker answers'))))
  await assert.rejects(ask({ kind: 'number', plus: 3 }), /no worker answers/)
})

test('answers for itself during an outage of the exchange, logs it once, and goes on afterwards', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const hub = openMemoryHub()
  const { log, lines } = keepLog()
  const first = open(hub, 'mail1', { log })
  const second = open(hub, 'mail2')
  await settle()
  hub.advance(5)
  t.mock.timers.tick(5000)
  await settle()
  assert.equal(first.count(), 2)
  hub.fail('ECONNREFUSED')
  for (let beat = 0; beat < 10; beat++) {
    hub.advance(5)
    t.mock.timers.tick(5000)
    await settle()
  }
  const { instances, scope, incomplete } = await first.list()
  assert.deepEqual([instances.map(({ host }) => host), scope, incomplete], [['mail1'], 'partial', 'ECONNREFUSED'])
  assert.equal(first.count(), 1)
  hub.fail(undefined)
  for (let beat = 0; beat < 2; beat++) {
    hub.advance(5)
    t.mock.timers.tick(5000)
    await settle()
  }
  assert.equal((await first.list()).instances.length, 2)
  assert.equal(first.count(), 2)
  assert.deepEqual(
    lines.filter((line) => line.includes('heartbeat')),
    [
      'exchange between instances fails {"step":"heartbeat","cause":"ECONNREFUSED"}',
      'exchange between instances works again {"step":"heartbeat"}',
    ],
  )
  await second.close()
})

test('stops within a second while the exchange does not answer', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const hub = openMemoryHub()
  let closed = false
  const hanging = open(hub, 'mail1', {
    openExchange: (name, listener) => ({
      ...hub.open(name, listener),
      leave: () => new Promise(() => undefined),
      close: () => (closed = true),
    }),
  })
  await settle()
  const closing = hanging.close()
  await settle()
  t.mock.timers.tick(1000)
  await closing
  assert.ok(closed)
})
