/** What the last octets of each side tell where no watch follows the session; and what the gate of a guarded session says of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Gate, type RelayGuard } from '../../../src/relay/gate.ts'
import { Progress } from '../../../src/relay/progress.ts'
import { Turns } from '../../../src/relay/turns.ts'

type Step = ['client' | 'backend', string] | 'rest'

function after(...steps: Step[]) {
  const turns = new Turns()
  for (const step of steps) {
    if (step === 'rest') turns.rest()
    else if (step[0] === 'client') turns.fromClient(Buffer.from(step[1]))
    else turns.fromBackend(Buffer.from(step[1]))
  }
  return { isAnswered: turns.isAnswered, mayHearText: turns.mayHearText }
}

const NO = { isAnswered: false, mayHearText: false }
const YES = { isAnswered: true, mayHearText: true }

for (const [what, steps, expected] of [
  ['a session in which nothing was sent', [], YES],
  ['a command without an answer', [['client', 'a\r\n']], NO],
  [
    'a command and its answer',
    [
      ['client', 'a\r\n'],
      ['backend', 'b\r\n'],
    ],
    YES,
  ],
  [
    'an answer whose CRLF comes in two chunks',
    [
      ['client', 'a\r\n'],
      ['backend', 'b\r'],
      ['backend', '\n'],
    ],
    YES,
  ],
  [
    'an answer cut before its LF',
    [
      ['client', 'a\r\n'],
      ['backend', 'b\r'],
    ],
    NO,
  ],
  [
    'an answer that ends in a bare LF',
    [
      ['client', 'a\r\n'],
      ['backend', 'bb\n'],
    ],
    NO,
  ],
  [
    'an answer that ends in another octet than LF',
    [
      ['client', 'a\r\n'],
      ['backend', '\r)'],
    ],
    NO,
  ],
  [
    'an answer of one octet that is no LF',
    [
      ['client', 'a\r\n'],
      ['backend', ')'],
    ],
    NO,
  ],
  [
    'an answer to half a line of the client',
    [
      ['client', 'DONE'],
      ['backend', 'b\r\n'],
    ],
    { isAnswered: true, mayHearText: false },
  ],
  [
    'octets without lines from both sides',
    [['client', 'x'], ['backend', 'y'], 'rest'],
    { isAnswered: true, mayHearText: false },
  ],
  [
    'such octets that end as lines later',
    [['client', 'x'], ['backend', 'y'], 'rest', ['client', 'a\r\n'], ['backend', 'b\r\n']],
    { isAnswered: true, mayHearText: false },
  ],
  ['a rest behind text from one side', [['client', 'a\r\n'], ['backend', 'y'], 'rest'], NO],
  [
    'a rest before the answer',
    [['client', 'x'], 'rest', ['backend', 'b\r\n']],
    { isAnswered: true, mayHearText: false },
  ],
] as const satisfies [string, readonly Step[], object][])
  test(`judges ${what}`, () => assert.deepEqual(after(...steps), expected))

/** Passes whole lines while it has credit; a line of the back end gives one. */
function guard(changes: Partial<RelayGuard> = {}): RelayGuard {
  return {
    mode: 'guard',
    farewell: 'farewell',
    isIdle: () => true,
    fromClient: () => 0,
    fromBackend: () => true,
    ...changes,
  }
}

const ignore = (): void => undefined

test('a gate joins what it holds with what follows, in order', () => {
  const given: string[] = []
  const fromClient = (chunk: Buffer): number => (given.push(chunk.toString()), 1)
  const gate = new Gate(guard({ fromClient }), ignore, ignore)
  assert.equal(gate.holds, false)
  assert.equal(gate.fromClient(Buffer.from('abc')), undefined)
  assert.equal(gate.holds, true)
  gate.fromClient(Buffer.from('de'))
  assert.deepEqual(given, ['abc', 'bcde'])
  gate.fromBackend(Buffer.from('+\r\n'))
  assert.deepEqual(given, ['abc', 'bcde', 'cde'])
})

test('a gate keeps a copy of what it holds, since the chunk’s memory is read into again', () => {
  const given: string[] = []
  const fromClient = (chunk: Buffer): number => (given.push(chunk.toString()), 0)
  const gate = new Gate(guard({ fromClient }), ignore, ignore)
  const chunk = Buffer.from('abc')
  gate.fromClient(chunk)
  chunk.fill('x')
  gate.fromBackend(Buffer.from('+\r\n'))
  assert.deepEqual(given, ['abc', 'abc'])
})

test('a gate is idle while its guard is and it holds nothing', () => {
  for (const [isIdle, passed, expected] of [
    [true, 3, true],
    [true, 2, false],
    [false, 3, false],
    [false, 2, false],
  ] as const) {
    const gate = new Gate(guard({ isIdle: () => isIdle, fromClient: () => passed }), ignore, ignore)
    gate.fromClient(Buffer.from('abc'))
    assert.equal(gate.isIdle(), expected)
    const progress = new Progress(undefined, gate)
    assert.deepEqual([progress.mayHearText, progress.isSafe(0, true)], [expected, expected])
    assert.equal(progress.isSafe(60_000, false), false, 'something waits to be written')
  }
})

test('a gate has a farewell for a forbidden command alone', () => {
  const gate = new Gate(guard(), ignore, ignore)
  assert.equal(gate.farewellFor('client-unauthenticate'), 'farewell')
  assert.equal(gate.farewellFor('client-ambiguous'), '')
})

test('a session without a watch rests after a second of silence, and may end after two', () => {
  const opaque = (silentMs: number): boolean => {
    const progress = new Progress(undefined, undefined)
    progress.fromClient(Buffer.from('x'))
    progress.fromBackend(Buffer.from('y'))
    progress.rest(silentMs)
    progress.fromClient(Buffer.from('a\r\n'))
    progress.fromBackend(Buffer.from('b\r\n'))
    assert.deepEqual([progress.isSafe(1999, true), progress.isSafe(2000, true)], [false, true])
    return !progress.mayHearText
  }
  assert.equal(opaque(999), false)
  assert.equal(opaque(1000), true)
})

test('a session that its observer has lost on the back end’s side goes on without it', () => {
  const observer = { mode: 'observe', fromClient: () => true, fromBackend: () => false, isIdle: () => true } as const
  const progress = new Progress(observer, undefined)
  assert.equal(progress.isSafe(0, true), true)
  progress.fromBackend(Buffer.from('half'))
  assert.deepEqual([progress.isSafe(60_000, true), progress.mayHearText], [false, false])
})
