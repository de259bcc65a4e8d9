/** The penalty for failed logins: which logins are delayed, how long, and which are not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPenalty } from '../../../src/limits/penalty.ts'

const PENALTY = { after: 3, stepMs: 1000, mostMs: 15_000, halfLifeMs: 600_000 }
const GUESSER = '192.0.2.66'
const HOME = '198.51.100.1'

function start(most?: number) {
  let nowMs = 0
  const penalty = createPenalty(() => nowMs, most)
  const attempt = (user: string | undefined, network: string, site?: string) => ({
    user,
    network,
    site,
    penalty: PENALTY,
  })
  return {
    fail: (times: number, user: string | undefined, network: string, site?: string): void => {
      for (let n = 0; n < times; n++) penalty.noteFailure(attempt(user, network, site))
    },
    succeed: (user: string, network: string) => penalty.noteSuccess(user, network),
    delay: (user: string | undefined, network: string, site?: string) =>
      Math.round(penalty.delayMs(attempt(user, network, site))),
    pass: (ms: number) => void (nowMs += ms),
  }
}

test('delays an address after three failures, a second longer after each, and never longer than the most', () => {
  const { fail, delay } = start()
  const delays: number[] = []
  for (let n = 0; n < 25; n++) {
    delays.push(delay(undefined, GUESSER))
    fail(1, `user${n}`, GUESSER)
  }
  assert.deepEqual(delays.slice(0, 7), [0, 0, 0, 0, 1000, 2000, 3000])
  assert.deepEqual(delays.slice(-3), [15_000, 15_000, 15_000])
})

test('fades by half in each half life', () => {
  const { fail, delay, pass } = start()
  fail(13, undefined, GUESSER)
  assert.equal(delay(undefined, GUESSER), 10_000)
  pass(600_000)
  assert.equal(delay(undefined, GUESSER), 3500)
  pass(600_000)
  assert.equal(delay(undefined, GUESSER), 250)
  pass(600_000)
  assert.equal(delay(undefined, GUESSER), 0)
})

test('delays no other address', () => {
  const { fail, delay } = start()
  fail(100, undefined, GUESSER)
  assert.equal(delay('bob', HOME), 0)
})

test('a good account does not clear the penalty of a guesser', () => {
  const { fail, succeed, delay } = start()
  fail(10, 'alice', GUESSER)
  const before = delay('bob', GUESSER)
  assert.equal(before, 7000)
  succeed('mallory', GUESSER)
  assert.equal(delay('mallory', GUESSER), 0) // the one whose password is right there
  assert.equal(delay('bob', GUESSER), before)
})

test('guesses from many addresses delay a user at new addresses, and not where that user has logged in before', () => {
  const { fail, succeed, delay } = start()
  succeed('alice', HOME)
  for (let n = 0; n < 1000; n++) fail(1, 'alice', `203.0.113.${n}`)
  assert.equal(delay('alice', '203.0.113.2000'), 15_000)
  assert.equal(delay('alice', HOME), 0)
  assert.equal(delay('bob', '203.0.113.2000'), 0)
})

test('at an address that has logged a user in, the failures of that user there count', () => {
  const { fail, succeed, delay } = start()
  succeed('alice', HOME)
  succeed('bob', HOME)
  fail(10, 'alice', HOME)
  assert.equal(delay('alice', HOME), 7000)
  assert.equal(delay('bob', HOME), 0) // behind the same address translation
  assert.equal(delay('carol', HOME), 7000)
})

test('delays a /48 of IPv6 after ten times the failures, spread over its /64s', () => {
  const { fail, delay } = start()
  const site = '2001:db8:1'
  for (let n = 0; n < 30; n++) fail(1, undefined, `${site}:${n}`, site)
  assert.equal(delay(undefined, `${site}:ffff`, site), 0)
  for (let n = 30; n < 130; n++) fail(1, undefined, `${site}:${n}`, site)
  assert.equal(delay(undefined, `${site}:ffff`, site), 10_000)
})

test('remembers no more than it may, and forgets what has failed longest ago', () => {
  const { fail, delay } = start(20)
  fail(5, undefined, GUESSER)
  for (let n = 0; n < 9; n++) fail(1, undefined, `203.0.113.${n}`)
  assert.equal(delay(undefined, GUESSER), 2000)
  for (let n = 9; n < 30; n++) fail(1, undefined, `203.0.113.${n}`)
  assert.equal(delay(undefined, GUESSER), 0)
})

test('an account that logs in from many addresses displaces no address of another user', () => {
  const { fail, succeed, delay } = start(4)
  succeed('alice', HOME)
  for (let n = 0; n < 1000; n++) succeed('mallory', `203.0.113.${n}`)
  for (let n = 0; n < 20; n++) fail(1, 'alice', `203.0.113.${n}`)
  assert.equal(delay('alice', HOME), 0)
  fail(20, 'mallory', GUESSER)
  assert.deepEqual([delay('mallory', '203.0.113.984'), delay('mallory', '203.0.113.983')], [0, 15_000])
})

test('a user who goes on logging in from one address is not forgotten there', () => {
  const { fail, succeed, delay } = start(20)
  for (let n = 0; n < 27; n++) {
    if (n % 9 === 0) succeed('alice', HOME)
    succeed(`user${n}`, HOME)
  }
  fail(20, 'alice', GUESSER)
  assert.equal(delay('alice', HOME), 0)
})

test('failures before the first success at an address do not delay the user there afterwards', () => {
  const { fail, succeed, delay } = start()
  fail(10, 'alice', HOME)
  assert.equal(delay('alice', HOME), 7000)
  succeed('alice', HOME)
  assert.equal(delay('alice', HOME), 0)
})
