import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  afterFailure,
  afterFault,
  afterSuccess,
  newHealth,
  type Failure,
  type Health,
  type Proof,
} from '../../../src/backend/health/health.ts'

const RULES = { rise: 2, fall: 3 }
const SECOND = 1000

/** What happens to one address, a second apart. */
function play(events: readonly Event[], from: Health = newHealth(0), startMs = SECOND): Health {
  let health = from
  for (const [index, event] of events.entries()) {
    const now = startMs + index * SECOND
    health = 'code' in event ? afterFailure(health, event, RULES, now) : afterSuccess(health, event, RULES, now)
  }
  return health
}

type Event = Failure | { by: 'check' | 'login'; proof: Proof }

const refused: Failure = { by: 'login', code: 'backend-refused', client: undefined }
const checkFails: Failure = { by: 'check', code: 'backend-timeout', client: undefined }
const greets = { by: 'check', proof: 'greeting' } as const
const answers = { by: 'login', proof: 'login' } as const
const failsFor = (client: string, user = client): Failure => ({
  by: 'login',
  code: 'backend-closed',
  client: { client, user },
})
const times = <T>(count: number, event: T): T[] => Array.from({ length: count }, () => event)

test('is up until something else is seen', () => assert.equal(newHealth(7).up, true))

test('stays the same object at a success while nothing was wrong', () => {
  const health = newHealth(0)
  assert.equal(afterSuccess(health, answers, RULES, 9), health)
  assert.equal(afterSuccess(health, greets, RULES, 9), health)
})

test('is down after `fall` failures in a row, by logins or checks, and not before', () => {
  for (const failure of [refused, checkFails]) {
    assert.equal(play(times(2, failure)).up, true)
    const down = play(times(3, failure))
    assert.deepEqual([down.up, down.sinceMs, down.lastError], [false, 3 * SECOND, failure.code])
  }
  assert.equal(play([refused, checkFails, refused]).up, false)
})

test('counts from the beginning after a success', () => {
  assert.equal(play([refused, refused, answers, refused, refused]).up, true)
  assert.equal(play([checkFails, checkFails, greets, checkFails, checkFails]).up, true)
})

test('takes a wave of failing logins for one failure', () => {
  let health = newHealth(0)
  for (let login = 0; login < 100; login++) health = afterFailure(health, refused, RULES, 5000 + login)
  assert.deepEqual([health.up, health.failures], [true, 1])
  for (const now of [6000, 7000]) health = afterFailure(health, refused, RULES, now)
  assert.equal(health.up, false)
})

test('counts every check, however soon', () => {
  let health = newHealth(0)
  for (const now of [1, 2, 3]) health = afterFailure(health, checkFails, RULES, now)
  assert.equal(health.up, false)
})

test('is up again after `rise` checks in a row, and not before', () => {
  const down = play(times(3, checkFails))
  assert.equal(play([greets], down).up, false)
  assert.equal(play([greets, checkFails, greets], down).up, false)
  const up = play([greets, greets], down, 10 * SECOND)
  assert.deepEqual([up.up, up.sinceMs], [true, 11 * SECOND])
})

test('is up again with the first login that is answered', () => {
  assert.equal(play([answers], play(times(3, refused))).up, true)
})

test('is not taken down by one client, however often it fails', () => {
  assert.equal(play(times(50, failsFor('192.0.2.1'))).up, true)
})

test('is taken down once a second client has failed too', () => {
  const [one, two] = [failsFor('192.0.2.1'), failsFor('192.0.2.2')]
  assert.equal(play([one, two]).up, true)
  assert.equal(play([one, two, one]).up, false)
})

test('is taken down neither by one user at two addresses nor by two users at one', () => {
  assert.equal(play(times(9, [failsFor('192.0.2.1', 'ann'), failsFor('192.0.2.2', 'ann')]).flat()).up, true)
  assert.equal(play(times(9, [failsFor('192.0.2.1', 'ann'), failsFor('192.0.2.1', 'ben')]).flat()).up, true)
})

test('counts what no client can have caused beside one that fails alone', () => {
  assert.equal(play([...times(9, failsFor('192.0.2.1')), refused, refused]).up, true)
  assert.equal(play([...times(9, failsFor('192.0.2.1')), refused, refused, refused]).up, false)
})

test('a successful check does not reset the count of failed logins, because it tests less than a login', () => {
  const [one, two] = [failsFor('192.0.2.1'), failsFor('192.0.2.2')]
  assert.equal(play([one, greets, two, greets, one]).up, false)
  assert.equal(play([one, two, { by: 'check', proof: 'login' }, one]).up, true)
})

test('asks for more checks each time that logins find it down again, up to a bound', () => {
  const fails = [failsFor('192.0.2.1'), failsFor('192.0.2.2'), failsFor('192.0.2.1')]
  let health = newHealth(0)
  let now = 0
  const needed: number[] = []
  for (let round = 0; round < 6; round++) {
    health = play(fails, health, (now += 60 * SECOND))
    assert.equal(health.up, false)
    let checks = 0
    while (!health.up) {
      health = play([greets], health, (now += SECOND))
      checks++
    }
    needed.push(checks)
  }
  assert.deepEqual(needed, [2, 4, 8, 16, 16, 16])
  health = play([...fails, answers, ...fails], health, (now += 60 * SECOND))
  assert.equal(play([greets, greets], health, now + 60 * SECOND).up, true)
})

test('one client that still fails does not keep it down', () => {
  const down = play([failsFor('192.0.2.1'), failsFor('192.0.2.2'), failsFor('192.0.2.1')])
  assert.equal(play([greets, failsFor('192.0.2.1'), greets], down, 60 * SECOND).up, true)
  assert.equal(play([greets, failsFor('192.0.2.1'), failsFor('192.0.2.2'), greets], down, 60 * SECOND).up, false)
})

test('is neither up nor down for a fault, which a greeting mends and a connection does not', () => {
  const faulty = afterFault(newHealth(0), 'backend-certificate')
  assert.deepEqual([faulty.up, faulty.fault], [true, 'backend-certificate'])
  assert.equal(afterFault(faulty, 'backend-certificate'), faulty)
  assert.equal(play([{ by: 'check', proof: 'connection' }], faulty).fault, 'backend-certificate')
  assert.equal(play([greets], faulty).fault, undefined)
  assert.equal(play([answers], faulty).fault, undefined)
})

const anyEvent = fc.constantFrom<Event>(
  refused,
  checkFails,
  greets,
  answers,
  failsFor('192.0.2.1'),
  failsFor('192.0.2.2'),
  { by: 'check', proof: 'connection' },
)

test('whatever has happened, a login that is answered makes it up, and three seconds of refusals make it down', () => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
      const health = play(events)
      const later = (events.length + 2) * SECOND
      assert.equal(play([answers], health, later).up, true)
      assert.equal(play([...times(3, refused)], health, later).up, false)
      assert.ok(health.sinceMs <= later)
    }),
  )
})
