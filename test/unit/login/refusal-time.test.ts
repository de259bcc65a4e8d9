/** What the pace of refusals is told: the back end's own time. A client or a queue must not delay the refusals of other users. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byPassword, byScram, openSite, startStore, steerClock } from './login-fixture.ts'

const MINUTE_MS = 60_000

test('does not count the time that a client takes to answer a challenge', async (t) => {
  const pass = steerClock(t)
  const port = await startStore(t, (line, say) => say(line.startsWith('A ') ? '+ cj1u' : 'A NO no'))
  const site = openSite(t, port)
  const attempt = byScram('alice', () => {
    pass(MINUTE_MS)
    return Promise.resolve('Yz1u')
  })
  const outcome = await site.login(site.connect(), attempt)
  assert.ok(!outcome.accepted && outcome.refusal.reason === 'authentication-failed')
  assert.equal(site.observed.length, 1)
  assert.ok(Number(site.observed[0]) < MINUTE_MS / 2, `${site.observed[0]} ms`)
})

test('counts the time that the back end takes, before a challenge and after it', async (t) => {
  const pass = steerClock(t)
  const port = await startStore(t, (line, say) => {
    pass(3000)
    say(line.startsWith('A ') ? '+ cj1u' : 'A NO no')
  })
  const site = openSite(t, port)
  await site.login(
    site.connect(),
    byScram('alice', () => Promise.resolve('Yz1u')),
  )
  assert.equal(site.observed.length, 1)
  assert.ok(Number(site.observed[0]) >= 6000, `${site.observed[0]} ms`)
})

test('does not count the time that a login waits for its turn', async (t) => {
  const pass = steerClock(t)
  const port = await startStore(t, (_, say) => say('A NO no'))
  const limits = {
    sessions: undefined,
    logins: 1,
    loginsPerSecond: undefined,
    waitMs: 2 * MINUTE_MS,
    queue: 9,
    leastForAddress: 4,
  }
  const site = openSite(t, port, { limits })
  const slot = site.admissions.enter(site.backend, 1)
  const outcome = site.login(site.connect(), byPassword('alice'))
  await site.waiting(1)
  pass(9000)
  slot?.release()
  assert.equal((await outcome).accepted, false)
  assert.equal(site.observed.length, 1)
  assert.ok(Number(site.observed[0]) < 5000, `${site.observed[0]} ms`)
})

test('does not count an earlier attempt, nor the pause after it', async (t) => {
  const pass = steerClock(t)
  let attempts = 0
  const port = await startStore(t, (_, say, socket) => {
    if (++attempts > 1) return say('A NO no')
    pass(7000)
    socket.destroy()
  })
  const site = openSite(t, port)
  await site.login(site.connect(), byPassword('alice'))
  assert.equal(attempts, 2)
  assert.equal(site.observed.length, 1)
  assert.ok(Number(site.observed[0]) < 5000, `${site.observed[0]} ms`)
})
