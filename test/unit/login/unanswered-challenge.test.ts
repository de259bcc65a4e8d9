/** A client that does not answer a challenge has shown no password: it must not hold what other logins need. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { byPassword, byScram, openSite, startStore, steerClock } from './login-fixture.ts'

const LIMITS = { sessions: undefined, logins: 1, loginsPerSecond: undefined, waitMs: 0, queue: 9, leastForAddress: 4 }

/** A store that asks for a proof with SCRAM, and refuses every login. */
const startAskingStore = (t: TestContext) =>
  startStore(t, (line, say) => say(/^A AUTHENTICATE SCRAM/.test(line) ? '+ cj1u' : 'A NO no'))

/** A client that is asked; `answer` is called once it has been. */
function openAsked() {
  const asked = Promise.withResolvers<undefined>()
  const answer = Promise.withResolvers<string>()
  const attempt = byScram('alice', () => {
    asked.resolve(undefined)
    return answer.promise
  })
  return { attempt, asked: asked.promise, answer: () => answer.resolve('Yz1u') }
}

test('holds no login slot of the back end while the client is asked', async (t) => {
  const site = openSite(t, await startAskingStore(t), { limits: LIMITS })
  const { attempt, asked, answer } = openAsked()
  const first = site.login(site.connect('192.0.2.1'), attempt)
  await asked
  assert.deepEqual(site.facts(), { logins: 0, sessions: 0, waiting: 0 })
  const second = await site.login(site.connect('192.0.2.2'), byPassword('bob'))
  assert.ok(!second.accepted)
  assert.equal(second.refusal.reason, 'authentication-failed', second.detail)
  answer()
  assert.equal((await first).accepted, false)
  assert.deepEqual(site.facts(), { logins: 0, sessions: 0, waiting: 0 })
})

test('waits for a slot again once the client has answered, ahead of logins that begin', async (t) => {
  const site = openSite(t, await startAskingStore(t), { limits: { ...LIMITS, waitMs: 10_000 } })
  const { attempt, asked, answer } = openAsked()
  const order: string[] = []
  const first = site.login(site.connect('192.0.2.1'), attempt).then(() => order.push('first'))
  await asked
  const slot = site.admissions.enter(site.backend, 1)
  const second = site.login(site.connect('192.0.2.2'), byPassword('bob')).then(() => order.push('second'))
  answer()
  await site.waiting(2)
  slot?.release()
  await Promise.all([first, second])
  assert.deepEqual(order, ['first', 'second'])
})

test('releases each slot once if the client leaves while it waits for a slot again', async (t) => {
  const site = openSite(t, await startAskingStore(t), { limits: { ...LIMITS, waitMs: 10_000 } })
  const { attempt, asked, answer } = openAsked()
  const conn = site.connect()
  const login = site.login(conn, attempt)
  await asked
  const slot = site.admissions.enter(site.backend, 1)
  answer()
  await site.waiting(1)
  conn.close(() => undefined)
  conn.connection.socket.emit('close')
  await assert.rejects(login, /the client left/)
  assert.deepEqual(site.facts(), { logins: 1, sessions: 0, waiting: 0 })
  slot?.release()
  assert.deepEqual(site.facts(), { logins: 0, sessions: 0, waiting: 0 })
})

test('ends with a deadline of its own, and does not count against the back end', { timeout: 30_000 }, async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const site = openSite(t, await startAskingStore(t), { limits: LIMITS })
  const conn = site.connect()
  const asked = Promise.withResolvers<undefined>()
  const login = site.login(
    conn,
    byScram('alice', () => {
      asked.resolve(undefined)
      return conn.connection.readLine(100)
    }),
  )
  await asked.promise
  t.mock.timers.tick(10_000)
  await assert.rejects(login, { code: 'client-login-timeout' })
  assert.deepEqual(site.facts(), { logins: 0, sessions: 0, waiting: 0 })
  const [place] = site.live.addresses('imap')
  assert.deepEqual([place?.health.up, place?.health.failures, place?.health.clientSpecificFailures], [true, 0, 0])
})

test('notes the time of the first challenge of a login alone', async (t) => {
  const pass = steerClock(t)
  pass(1_000_000)
  let challenges = 0
  const port = await startStore(t, (_, say) => {
    pass(3000)
    say(++challenges < 3 ? '+ cj1u' : 'A NO no')
  })
  const site = openSite(t, port)
  const attempt = byScram('alice', () => {
    pass(1)
    return Promise.resolve('Yz1u')
  })
  await site.login(site.connect(), attempt)
  assert.deepEqual([challenges, site.challenged.length], [3, 1])
  assert.ok(Number(site.challenged[0]) < 100_000, `${site.challenged[0]} ms`)
})

test('does not count a mechanism that the back end lacks against the address', async (t) => {
  const site = openSite(t, await startAskingStore(t))
  const { mechanism, credentials, ...rest } = byScram('alice', () => Promise.resolve('*'))
  assert.equal(mechanism, 'SCRAM-SHA-256')
  assert.ok(credentials.kind === 'relayed')
  const sha1 = 'SCRAM-SHA-1'
  const attempt = { ...rest, mechanism: sha1, credentials: { ...credentials, mechanism: sha1 } } as const
  const outcome = await site.login(site.connect(), attempt)
  assert.ok(!outcome.accepted)
  assert.equal(outcome.code, 'backend-no-mechanism', outcome.detail)
  const [place] = site.live.addresses('imap')
  assert.deepEqual([place?.health.failures, place?.health.clientSpecificFailures], [0, 0])
})

test('names the phase of a login that waits, and listens to its client only meanwhile', async (t) => {
  const site = openSite(t, await startAskingStore(t), { limits: { ...LIMITS, waitMs: 10_000 } })
  const session = site.connect()
  const { socket } = session.connection
  const listeners = (): number[] => ['close', 'end', 'error'].map((name) => socket.listenerCount(name))
  const before = listeners()
  const slot = site.admissions.enter(site.backend, 1)
  const login = site.login(session, byPassword('alice'))
  await site.waiting(1)
  assert.equal(session.phase, 'waiting')
  assert.notDeepEqual(listeners(), before)
  slot?.release()
  await login
  assert.equal(session.phase, 'replaying-login')
  assert.deepEqual(listeners(), before)
})
