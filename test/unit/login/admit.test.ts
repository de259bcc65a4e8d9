/** The limits are asked about each login: before its route, after the back end's acceptance, and told of a refusal. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { LoginFacts } from '../../../src/limits/facts.ts'
import { createLimits, type Limits } from '../../../src/limits/limits.ts'
import { KNOWN, type Rejection } from '../../../src/limits/rejection.ts'
import { byPassword, openSite, startStore } from './login-fixture.ts'

const FULL: Rejection = { limit: 'max_connections', kind: 'too-many', detail: '2 of 2 sessions of the user' }

/** The steps of a login of `user` with limits that answer as the test says. */
async function play(t: TestContext, changes: Partial<Limits>, { user = 'alice', word = 'OK' } = {}) {
  const steps: string[] = []
  const note = (what: string, { user: name = '', address }: LoginFacts): void =>
    void steps.push(`${what} ${name} from ${address}`)
  const base = createLimits()
  const limits: Limits = {
    ...base,
    admitLogin(facts) {
      note('login', facts)
      return (changes.admitLogin ?? base.admitLogin)(facts)
    },
    admitSession(facts) {
      note(`session at ${facts.backend} as ${facts.mailbox} of`, facts)
      return (changes.admitSession ?? base.admitSession)(facts)
    },
    loginRefused: (facts) => note('refused', facts),
  }
  const port = await startStore(t, (line, say) => {
    steps.push(`back end: ${word}`)
    say(`${line.split(' ')[0] ?? ''} ${word} done`)
  })
  const commit = (): Promise<void> => Promise.resolve(void steps.push('commit'))
  const site = openSite(t, port, {}, undefined, { source: 'placed', commit }, limits)
  const session = site.connect()
  const result = await site.login(session, byPassword(user))
  if (result.accepted) result.backend.close()
  return { steps, session, site, result: result.accepted ? 'accepted' : [result.refusal.reason, result.code] }
}

const ACCEPTED = [
  'login alice from 192.0.2.1',
  'back end: OK',
  'session at store-1 as alice of alice from 192.0.2.1',
  'commit',
]

test('a login within the limits asks them before its route and after its acceptance', async (t) => {
  const { steps, result } = await play(t, {})
  assert.deepEqual([steps, result], [ACCEPTED, 'accepted'])
})

for (const later of [false, true]) {
  const answer = <T>(value: T): T | Promise<T> => (later ? Promise.resolve(value) : value)
  const when = later ? ', also where the answer comes later' : ''

  test(`a login that a limit rejects reaches no back end${when}`, async (t) => {
    const { steps, result, site } = await play(t, { admitLogin: () => answer<Rejection>(FULL) })
    assert.deepEqual(steps, ['login alice from 192.0.2.1'])
    assert.deepEqual(result, ['too-many-sessions', 'client-over-limit'])
    const { code, reason, detail } = site.lines.find(({ message }) => message === 'login refused')!
    assert.deepEqual([code, reason, detail], ['client-over-limit', 'too-many-sessions', FULL.detail])
  })

  test(`a session that a limit rejects leaves the back end, its slot and its route${when}`, async (t) => {
    const { steps, result, site } = await play(t, { admitSession: () => answer<Rejection>(FULL) })
    assert.deepEqual(steps, ACCEPTED.slice(0, 3))
    assert.deepEqual(result, ['too-many-sessions', 'client-over-limit'])
    assert.deepEqual(site.facts(), { logins: 0, sessions: 0, waiting: 0 })
  })

  test(`what a session holds is released at its end${when}`, async (t) => {
    let released = 0
    const { session } = await play(t, { admitSession: () => answer({ release: () => released++ }) })
    assert.equal(released, 0)
    await new Promise<void>((resolve) => session.close(resolve))
    assert.equal(released, 1)
  })
}

for (const later of [false, true])
  test(`a user whose network is known goes ahead of another who waits${later ? ', also where the answer comes later' : ''}`, async (t) => {
    const port = await startStore(t, (line, say) => say(`${line.split(' ')[0] ?? ''} OK done`))
    const answerTo = ({ user }: LoginFacts) => (user === 'alice' ? KNOWN : undefined)
    const limits: Limits = {
      ...createLimits(),
      admitLogin: (facts) => (later ? Promise.resolve(answerTo(facts)) : answerTo(facts)),
    }
    const { backend } = openSite(t, port)
    const site = openSite(t, port, { limits: { ...backend.limits, logins: 1 } }, undefined, undefined, limits)
    const slot = site.admissions.enter(site.backend, 1)
    const order: string[] = []
    const logins = ['bob', 'alice'].map(async (user, before) => {
      await site.waiting(before)
      const result = await site.login(site.connect(), byPassword(user))
      order.push(user)
      if (result.accepted) result.backend.close()
    })
    await site.waiting(2)
    slot?.release()
    await Promise.all(logins)
    assert.deepEqual(order, ['alice', 'bob'])
  })

test('a login that comes too fast is told so', async (t) => {
  const { result } = await play(t, { admitLogin: () => ({ ...FULL, kind: 'too-fast' }) })
  assert.deepEqual(result, ['too-many-logins', 'client-over-limit'])
})

test('a login that is denied is told that the account is disabled', async (t) => {
  const { result } = await play(t, { admitLogin: () => ({ ...FULL, limit: 'block', kind: 'denied' }) })
  assert.deepEqual(result, ['disabled', 'client-denied'])
})

test('the limits are told of a wrong password and of an unknown user', async (t) => {
  const wrong = await play(t, {}, { word: 'NO' })
  assert.deepEqual(wrong.steps, ['login alice from 192.0.2.1', 'back end: NO', 'refused alice from 192.0.2.1'])
  const unknown = await play(t, {}, { user: 'nobody' })
  assert.deepEqual(unknown.steps, ['login nobody from 192.0.2.1', 'refused nobody from 192.0.2.1'])
})

test('the limits are not told of an outage', async (t) => {
  const { steps } = await play(t, {}, { word: 'NO [UNAVAILABLE]' })
  assert.ok(!steps.some((step) => step.startsWith('refused')), steps.join(', '))
})
