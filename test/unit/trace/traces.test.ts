/** The traces of a worker: which sessions they show, what they keep, and when they end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_HELD, MAX_LINES_PER_SECOND, MAX_TEXT_LENGTH, ABANDONED_MS } from '../../../src/trace/armed.ts'
import type { TracedSession } from '../../../src/trace/session-trace.ts'
import { createTraces, MAX_HISTORY_LENGTH, MAX_TRACES } from '../../../src/trace/traces.ts'

const ID = '0123456789abcdef'
const LEFT_MS = 300_000

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function session(id: string, address = '192.0.2.7'): Mutable<TracedSession> {
  return {
    id,
    connection: { client: { address } },
    login: undefined,
    listener: { name: 'imap', protocol: 'imap' },
    relay: undefined,
    trace: undefined,
  }
}

function setUp(...running: TracedSession[]) {
  const clock = { ms: 0 }
  const traces = createTraces(
    () => running,
    () => clock.ms,
  )
  const begin = (one: TracedSession): void => {
    running.push(one)
    if (traces.isOn) traces.begin(one)
  }
  const texts = (filter: object, id = ID): string[] =>
    traces.collect({ id, filter, leftMs: LEFT_MS }).lines.map(({ session, text }) => `${session} ${text}`)
  return { traces, clock, begin, texts }
}

test('gives no session a trace while none is in force', () => {
  const { traces, begin } = setUp()
  const one = session('a')
  begin(one)
  assert.equal(traces.isOn, false)
  assert.equal(one.trace, undefined)
})

test('shows a session of an address, and no other', () => {
  const { begin, texts } = setUp()
  texts({ client: '192.0.2.0/24' })
  const [one, other] = [session('a'), session('b', '198.51.100.1')]
  begin(one)
  begin(other)
  one.trace?.line('from-client', 'a NOOP')
  other.trace?.line('from-client', 'b NOOP')
  assert.deepEqual(texts({ client: '192.0.2.0/24' }), ['a a NOOP'])
  assert.deepEqual(texts({ client: '192.0.2.0/24' }), [])
})

test('shows the lines before the login too, once the user is known', () => {
  const { begin, texts } = setUp()
  texts({ user: 'alice' })
  const [one, other] = [session('a'), session('b')]
  begin(one)
  begin(other)
  one.trace?.note('accepted')
  other.trace?.note('accepted')
  assert.deepEqual(texts({ user: 'alice' }), [])
  one.login = { user: 'alice' }
  other.login = { user: 'bob' }
  one.trace?.line('to-client', 'a OK')
  other.trace?.line('to-client', 'b OK')
  assert.deepEqual(texts({ user: 'alice' }), ['a accepted', 'a a OK'])
})

test('counts the first lines of a session that are over the limit', () => {
  const { traces, begin } = setUp()
  const order = { id: ID, filter: { user: 'alice' }, leftMs: LEFT_MS }
  traces.collect(order)
  const one = session('a')
  begin(one)
  for (let count = 0; count < 100; count++) one.trace?.line('from-client', `a${count} NOOP`)
  one.login = { user: 'alice' }
  one.trace?.note('login accepted')
  const { lines, dropped } = traces.collect(order)
  assert.equal(lines.length + dropped, 101)
  assert.equal(lines.at(-1)?.text, 'login accepted')
})

test('takes a session before login into a trace that begins', () => {
  const one = session('a')
  const { texts } = setUp(one)
  texts({ session: 'a' })
  one.trace?.note('phase routing')
  assert.deepEqual(texts({ session: 'a' }), ['a phase routing'])
})

test('bounds the lines of a second and the lines that wait, and says how many are missing', () => {
  const { traces, begin } = setUp()
  const order = { id: ID, filter: { session: 'a' }, leftMs: LEFT_MS }
  traces.collect(order)
  const one = session('a')
  begin(one)
  for (let count = 0; count < 1000; count++) one.trace?.line('from-client', 'x'.repeat(5000))
  const { lines, dropped } = traces.collect(order)
  assert.ok(lines.length <= Math.min(MAX_HELD, 2 * MAX_LINES_PER_SECOND))
  assert.equal(lines.length + dropped, 1000)
  assert.ok(lines.every(({ text }) => text.length <= 401))
})

test('ends with its time, and where no order comes any more', () => {
  const one = session('a')
  const { traces, clock } = setUp(one)
  const changes: boolean[] = []
  traces.onChange((isOn) => changes.push(isOn))
  traces.collect({ id: ID, filter: { session: 'a' }, leftMs: 3000 })
  clock.ms = 2999
  traces.sweep()
  assert.equal(traces.isOn, true)
  clock.ms = 3000
  traces.sweep()
  assert.equal(traces.isOn, false)
  assert.equal(one.trace, undefined)
  traces.collect({ id: ID, filter: { session: 'a' }, leftMs: LEFT_MS })
  clock.ms += ABANDONED_MS
  traces.sweep()
  assert.equal(traces.isOn, false)
  assert.deepEqual(changes, [true, false, true, false])
})

test('tells nothing of a session after the end of the trace, also where it has kept its wires', () => {
  const { traces, begin, texts } = setUp()
  texts({ session: 'a' })
  const one = session('a')
  begin(one)
  const { trace } = one
  assert.deepEqual(traces.end(ID), { lines: [], dropped: 0 })
  trace?.line('from-client', 'a NOOP')
  assert.equal(trace?.isActive, false)
  assert.deepEqual(texts({ session: 'a' }), [])
})

test('refuses more traces than there may be, and takes one after another has ended', () => {
  const { traces } = setUp()
  const collect = (number: number) =>
    traces.collect({ id: number.toString(16).padStart(16, '0'), filter: { user: 'alice' }, leftMs: LEFT_MS })
  for (let number = 0; number < MAX_TRACES; number++) assert.equal(collect(number).refused, undefined)
  assert.equal(collect(MAX_TRACES).refused, true)
  traces.end('0'.repeat(16))
  assert.equal(collect(MAX_TRACES).refused, undefined)
  for (let number = 1; number <= MAX_TRACES; number++) traces.end(number.toString(16).padStart(16, '0'))
})

test('hides the words of a back end that repeat a password', async () => {
  const { begin, texts } = setUp()
  texts({ session: 'a' })
  const one = session('a')
  begin(one)
  const { Secret } = await import('../../../src/secret.ts')
  const { asOctets } = await import('../../../src/octets.ts')
  const password = new Secret(asOctets('xK9!vQ7'))
  one.trace?.hide({ user: asOctets('alice'), credentials: { kind: 'password', authcid: asOctets('alice'), password } })
  one.trace?.line('from-backend', '-ERR unknown command xK9!vQ7')
  assert.deepEqual(texts({ session: 'a' }), [
    'a the back end repeats a password or token, so that its words are not shown',
  ])
})

test('has room for the first lines of new sessions after any number of sessions that ended before a login', () => {
  const { begin, traces } = setUp()
  const order = { id: ID, filter: { user: 'alice' }, leftMs: LEFT_MS }
  traces.collect(order)
  const text = 'x'.repeat(MAX_TEXT_LENGTH)
  for (let count = 0; count < (2 * MAX_HISTORY_LENGTH) / MAX_TEXT_LENGTH; count++) {
    const gone = session('gone')
    begin(gone)
    gone.trace?.note(text)
    gone.trace?.close()
  }
  const one = session('a')
  begin(one)
  one.trace?.note(text)
  one.login = { user: 'alice' }
  one.trace?.note('login accepted')
  const { lines, dropped } = traces.collect(order)
  assert.deepEqual(
    lines.map((line) => line.text),
    [text, 'login accepted'],
  )
  assert.equal(dropped, 0)
})
