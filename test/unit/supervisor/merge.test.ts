/** What operators are told where several workers have something to say. */
import assert from 'node:assert/strict'
import { backendSettings } from '../backend/fixture.ts'
import { test } from 'node:test'
import {
  backendsAnswer,
  endedAnswer,
  routeAnswer,
  sessionsAnswer,
  type BackendAnswer,
  type RouteAnswer,
  type SessionAnswer,
} from '../../../src/admin/answers.ts'
import {
  mergeBackends,
  mergeEnded,
  mergeExplanations,
  mergeQuiescence,
  mergeSessions,
} from '../../../src/supervisor/merge.ts'

type Address = BackendAnswer['addresses'][number]

function address(ip: string, state: Address['state'], sinceMs = 1): Address {
  return { protocol: 'imap', host: 'store1', ip, port: 143, source: 'name', state, sinceMs }
}

function backend(changes: Partial<BackendAnswer> = {}, load: Partial<BackendAnswer['load']> = {}): BackendAnswer {
  return {
    name: 'store1',
    up: true,
    state: 'up',
    stateFrom: 'routing',
    check: 'greeting',
    addresses: [address('192.0.2.1', 'up')],
    leg: { tls: 'none', proxyHeader: 'none', forwardsIdentity: true },
    load: { sessions: 1, logins: 2, waiting: 3, limits: { logins: 10, waitMs: 5000, queue: 20 }, ...load },
    ...changes,
  }
}

test('adds what is under way and the shares of the limits, beside the leased limits as they are configured', () => {
  const limits = { sessions: 5, logins: 10, loginsPerSecond: 2.5, waitMs: 5000, queue: 20 }
  const { name } = backend()
  const configured = new Map([[name, { limits: { ...backendSettings().limits, sessions: 9, logins: 19 } }]])
  const merged = mergeBackends([[backend({}, { limits })], [backend({}, { sessions: 7, limits })]], configured)
  assert.deepEqual(
    merged.map(({ load }) => load),
    [
      {
        sessions: 8,
        logins: 4,
        waiting: 6,
        limits: { sessions: 9, logins: 19, loginsPerSecond: 5, waitMs: 5000, queue: 40 },
      },
    ],
  )
  assert.ok(backendsAnswer.safeParse({ backends: merged }).success)
})

test('reports the worst state of any worker, of the back end and of each address', () => {
  const [merged] = mergeBackends(
    [
      [backend({ addresses: [address('192.0.2.1', 'up'), address('192.0.2.2', 'down', 5)] })],
      [backend({ up: false, addresses: [address('192.0.2.1', 'misconfigured', 9), address('192.0.2.2', 'up')] })],
    ],
    new Map(),
  )
  assert.equal(merged?.up, false)
  assert.deepEqual(
    merged.addresses.map(({ ip, state, sinceMs }) => [ip, state, sinceMs]),
    [
      ['192.0.2.1', 'misconfigured', 9],
      ['192.0.2.2', 'down', 5],
    ],
  )
})

test('adds slow start of some workers to the normal limits of the others', () => {
  const [merged] = mergeBackends(
    [[backend({}, { slowStart: { logins: 1, loginsPerSecond: 5 } })], [backend()]],
    new Map(),
  )
  assert.deepEqual(merged?.load.slowStart, { logins: 11, loginsPerSecond: 15 })
})

test('leaves one answer as it is', () => {
  assert.deepEqual(mergeBackends([[backend()]], new Map()), [backend()])
})

function session(id: string, ageSeconds: number): SessionAnswer {
  return { id, client: '192.0.2.9', listener: 'imap', protocol: 'imap', phase: 'relaying', ageSeconds }
}

test('lists the oldest sessions of all workers, each with its worker, and the missing workers', () => {
  const merged = mergeSessions(
    [
      { worker: 1, told: { sessions: [session('a', 9), session('b', 1)], total: 2 } },
      { worker: 2, told: undefined },
      { worker: 3, told: { sessions: [session('c', 5)], total: 7 } },
    ],
    2,
  )
  assert.deepEqual(
    merged.sessions.map(({ id, worker }) => [id, worker]),
    [
      ['a', 1],
      ['c', 3],
    ],
  )
  assert.deepEqual([merged.total, merged.incomplete], [9, [2]])
  assert.ok(sessionsAnswer.safeParse(merged).success)
})

test('omits the list of missing workers if none is missing', () => {
  assert.deepEqual(mergeSessions([{ worker: 1, told: { sessions: [], total: 0 } }], 5), { sessions: [], total: 0 })
  const some = mergeSessions(
    [
      { worker: 1, told: { sessions: [], total: 2, unconnected: 1 } },
      { worker: 2, told: { sessions: [], total: 3 } },
      { worker: 3, told: { sessions: [], total: 2, unconnected: 2 } },
    ],
    5,
  )
  assert.deepEqual(some, { sessions: [], total: 7, unconnected: 3 })
})

test('adds the sessions that all workers end, and lists missing workers', () => {
  const merged = mergeEnded([
    { worker: 1, told: 4 },
    { worker: 2, told: undefined },
    { worker: 3, told: 0 },
  ])
  const workers = [
    { worker: 1, ended: 4 },
    { worker: 3, ended: 0 },
  ]
  assert.deepEqual(merged, { ended: 4, workers, incomplete: [2] })
  assert.deepEqual(endedAnswer.strict().parse(merged), merged)
  assert.deepEqual(mergeEnded([{ worker: 1, told: 4 }]), { ended: 4, workers: [{ worker: 1, ended: 4 }] })
})

const LOGIN = { user: 'bob', protocol: 'imap', listener: 'imap', tls: 'starttls' } as const
const known: RouteAnswer = { usable: true, login: LOGIN, steps: [], route: { source: 'stale', backend: 'store2' } }
const unknown: RouteAnswer = {
  usable: false,
  login: LOGIN,
  steps: [],
  refusal: { reason: 'unavailable', code: 'directory-unavailable', detail: 'Redis: ECONNREFUSED' },
}

test('an explanation names the workers that decide otherwise', () => {
  const merged = mergeExplanations(known, [
    { worker: 2, told: unknown },
    { worker: 3, told: { ...known, route: { source: 'cache', backend: 'store2' } } },
    { worker: 4, told: { ...known, route: { source: 'stale', backend: 'store1' } } },
  ])
  assert.deepEqual(merged, {
    ...known,
    otherWorkers: [
      { worker: 2, usable: false, refusal: unknown.refusal },
      { worker: 4, usable: true, route: { source: 'stale', backend: 'store1' } },
    ],
  })
  assert.doesNotThrow(() => routeAnswer.strict().parse(merged))
})

test('an explanation does without a worker that gives no answer', () => {
  assert.equal(mergeExplanations(known, [{ worker: 2, told: undefined }]), known)
  assert.deepEqual(mergeExplanations({ wrong: 'no such listener' }, [{ worker: 2, told: known }]), {
    wrong: 'no such listener',
  })
})

for (const [what, told, expected] of [
  [
    'sums what is left',
    [
      { isHeld: true, left: 1 },
      { isHeld: true, left: 2 },
    ],
    { isHeld: true, left: 3 },
  ],
  [
    'needs the hold at each worker',
    [
      { isHeld: true, left: 0 },
      { isHeld: false, why: 'no' },
    ],
    { isHeld: false, why: 'no' },
  ],
  ['needs each answer', [{ isHeld: true, left: 0 }, undefined], { isHeld: false, why: 'worker 2 does not answer' }],
] as const)
  test(`a user on hold: ${what}`, () =>
    assert.deepEqual(mergeQuiescence(told.map((one, index) => ({ worker: index + 1, told: one }))), expected))
