/** What workers remember together, on both ends of their channels: the marker of the directory, and routes while it is away. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { App } from '../../../src/app.ts'
import type { Settings } from '../../../src/config/settings.ts'
import type { OtherWorkers } from '../../../src/directory/remembered/stand-ins.ts'
import { Secret } from '../../../src/secret.ts'
import type { StandIn, ToSupervisor, ToWorker } from '../../../src/supervisor/messages.ts'
import { pack } from '../../../src/supervisor/packed.ts'
import { serveWorker } from '../../../src/supervisor/serve-worker.ts'
import { createSharedMemory, type Member } from '../../../src/supervisor/shared-memory.ts'
import { NO_LOG_OUTPUT } from '../../support/no-log-output.ts'

const ROUTE: StandIn = {
  entry: { backend: 'store1', login: undefined, status: 'active' },
  ageMs: 1000,
  source: 'stale',
}

/** A worker that answers a question about a user with this. */
function member(answer: () => Promise<StandIn | undefined> = () => Promise.resolve(undefined)) {
  const told: ToWorker[] = []
  const asked: unknown[] = []
  const one: Member = {
    ask: (ask, withinMs) => {
      asked.push([ask, withinMs])
      return answer() as Promise<never>
    },
    tell: (message) => void told.push(message),
  }
  return { one, told, asked }
}

test('keeps the newest marker that any worker has seen, and sends it to the others once', () => {
  const [first, second, third] = [member(), member(), member()]
  const memory = createSharedMemory(() => [first.one, second.one, third.one])
  assert.deepEqual(memory.markers(), [])
  memory.noteMarker(first.one, { store: 's', id: 'one' })
  memory.noteMarker(second.one, { store: 's', id: 'one' })
  assert.deepEqual(memory.markers(), [['s', 'one']])
  memory.noteMarker(second.one, { store: 's', id: 'two' })
  assert.deepEqual(memory.markers(), [['s', 'two']])
  const [one, two] = ['one', 'two'].map((id) => ({ kind: 'marker', store: 's', id }))
  assert.deepEqual([first.told, second.told, third.told], [[two], [one], [one, two]])
})

test('keeps the markers of two stores apart while a reload replaces one by the other', () => {
  const [first, second] = [member(), member()]
  const memory = createSharedMemory(() => [first.one, second.one])
  memory.noteMarker(first.one, { store: 'old', id: 'one' })
  memory.noteMarker(first.one, { store: 'new', id: 'two' })
  assert.deepEqual(memory.markers(), [
    ['old', 'one'],
    ['new', 'two'],
  ])
  memory.keepOnly('new')
  assert.deepEqual(memory.markers(), [['new', 'two']])
})

test('asks every worker but the one that asks, and takes what comes in time', async () => {
  const asker = member()
  const [knowing, empty, hanging] = [
    member(() => Promise.resolve(ROUTE)),
    member(),
    member(() => Promise.reject(new Error('worker 4 does not answer within 300 ms'))),
  ]
  const memory = createSharedMemory(() => [asker, knowing, empty, hanging].map(({ one }) => one))
  assert.deepEqual(await memory.standIns(asker.one, { store: 's', user: 'alice' }), [ROUTE])
  assert.deepEqual(asker.asked, [])
  for (const { asked } of [knowing, empty, hanging])
    assert.deepEqual(asked, [[{ what: 'standIn', question: { store: 's', user: 'alice' } }, 300]])
})

/** A worker's own side, with an app that only takes down what it is handed. */
function startWorker(marker?: string) {
  const sent: ToSupervisor[] = []
  const heard: string[] = []
  let hear: (message: ToWorker) => void = () => undefined
  let others: OtherWorkers | undefined
  const app: App = {
    start: () => Promise.resolve([]),
    prepare: () => Promise.resolve(),
    discard: () => undefined,
    takeOver: () => undefined,
    stop: () => Promise.resolve(),
    close: () => Promise.resolve(),
    answers: {
      explain: () => Promise.reject(new Error('not asked here')),
      testLogin: () => Promise.reject(new Error('not asked here')),
      backends: () => [],
      sessions: () => ({ sessions: [], total: 0 }),
      refusals: () => ({ refusals: [], counts: [] }),
      quiesce: () => Promise.resolve({ isHeld: true, left: 0 }),
      endSessions: () => 0,
      trace: () => ({ lines: [], dropped: 0 }),
      setBackendState: () => Promise.reject(new Error('not asked here')),
      lease: () => new Map(),
      setBlocks: () => 0,
      standIn: ({ user }) => (user === 'alice' ? ROUTE : undefined),
    },
  }
  serveWorker(
    {
      send: (message) => void sent.push(message),
      onMessage: (listener) => (hear = listener),
      onGone: () => undefined,
      exit: () => undefined,
    },
    (_, deps) => {
      others = deps.others?.of('s')
      others?.onMarker((id) => heard.push(id))
      return app
    },
    NO_LOG_OUTPUT,
  )
  const settings = { log: { level: 'error', format: 'json' } } as Settings
  hear({
    kind: 'start',
    worker: 2,
    settings: pack(settings),
    ticketSecret: pack(new Secret('x')),
    ports: [],
    served: [],
    markers: marker === undefined ? [] : [['s', marker]],
    blocks: [],
  })
  assert.ok(others)
  return { others, sent, heard, hear: (message: ToWorker) => hear(message) }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

test('a worker starts with the marker of the others, sends its own, and receives newer ones', () => {
  const { others, sent, heard, hear } = startWorker('one')
  assert.equal(others.marker, 'one')
  others.markerSeen('two')
  hear({ kind: 'marker', store: 'another', id: 'of another directory' })
  hear({ kind: 'marker', store: 's', id: 'three' })
  assert.deepEqual([sent, heard], [[{ kind: 'marker', store: 's', id: 'two' }], ['three']])
})

test('a worker answers from its memory what another worker asks', async () => {
  const { sent, hear } = startWorker()
  hear({ kind: 'ask', id: 7, ask: { what: 'standIn', question: { store: 's', user: 'alice' } } })
  hear({ kind: 'ask', id: 8, ask: { what: 'standIn', question: { store: 's', user: 'bob' } } })
  await settle()
  assert.deepEqual(
    sent.filter(({ kind }) => kind === 'answer'),
    [
      { kind: 'answer', id: 7, answer: ROUTE },
      { kind: 'answer', id: 8, answer: undefined },
    ],
  )
})

test('a worker waits half a second for the others, and ignores an answer after that', async (t: TestContext) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { others, sent, hear } = startWorker()
  const [alice, bob] = [others.standIns('alice'), others.standIns('bob')]
  const late = assert.rejects(bob, /no answer within 500 ms/u)
  const asked = sent.filter((one) => one.kind === 'standIns')
  assert.deepEqual(
    asked.map(({ question }) => question.user),
    ['alice', 'bob'],
  )
  const [first, second] = asked.map(({ id }) => id)
  t.mock.timers.tick(499)
  hear({ kind: 'standIns', id: first!, told: [ROUTE] })
  assert.deepEqual(await alice, [ROUTE])
  t.mock.timers.tick(1)
  await late
  hear({ kind: 'standIns', id: second!, told: [ROUTE] })
})
