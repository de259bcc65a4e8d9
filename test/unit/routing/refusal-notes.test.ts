import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Log } from '../../../src/log.ts'
import { silent } from '../directory/scripted-redis.ts'
import { createRefusalNotes } from '../../../src/routing/refusal-notes.ts'
import { RouteInvalid } from '../../../src/directory/errors.ts'

function open() {
  const lines: unknown[] = []
  const counted: string[] = []
  const clock = { nowMs: 1000 }
  const log: Log = { ...silent, error: (...line: unknown[]) => void lines.push(line) }
  const note = createRefusalNotes(
    log,
    (fault) => counted.push(fault),
    () => clock.nowMs,
  )
  return { lines, counted, clock, note }
}

const line = (fault: string, user: string, more: object = {}): unknown[] => [
  { fault, user, detail: 'what', ...more },
  'route refused',
]

test('logs a fault once a minute for all users, and counts each refusal', () => {
  const { lines, counted, clock, note } = open()
  note('a@b', new RouteInvalid('bad-login', 'what'))
  for (let user = 0; user < 1000; user++) note(`u${user}@b`, new RouteInvalid('bad-login', 'what'))
  clock.nowMs += 59_999
  note('c@b', new RouteInvalid('bad-login', 'what'))
  assert.deepEqual(lines, [line('bad-login', 'a@b')])
  assert.equal(counted.length, 1002)
})

test('logs it again after a minute, with the number of those in between', () => {
  const { lines, clock, note } = open()
  for (const user of ['a@b', 'b@b', 'c@b']) note(user, new RouteInvalid('bad-login', 'what'))
  clock.nowMs += 60_000
  note('d@b', new RouteInvalid('bad-login', 'what'))
  clock.nowMs += 60_000
  note('e@b', new RouteInvalid('bad-login', 'what'))
  assert.deepEqual(lines, [line('bad-login', 'a@b'), line('bad-login', 'd@b', { others: 2 }), line('bad-login', 'e@b')])
})

test('logs each fault separately', () => {
  const { lines, counted, note } = open()
  note('a@b', new RouteInvalid('bad-login', 'what'))
  note('a@b', new RouteInvalid('wrong-type', 'what'))
  assert.deepEqual(lines, [line('bad-login', 'a@b'), line('wrong-type', 'a@b')])
  assert.deepEqual(counted, ['bad-login', 'wrong-type'])
})
