/** Running sessions follow the route of their user, and only a certain answer ends one. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import type { Text } from '../../../src/octets.ts'
import { placedName } from '../../../src/routing/new-users.ts'
import { createRouteFollower, type CertainRoute, type FollowedSession } from '../../../src/session/follow-routes.ts'

type Fake = Omit<FollowedSession, 'login'> & {
  phase: FollowedSession['phase']
  login: { user: Text; backend: string | undefined }
  ended: string[]
}

function session(user: string, backend: string | undefined, phase: FollowedSession['phase'] = 'relaying'): Fake {
  const ended: string[] = []
  return { phase, login: { user, backend }, ended, end: (why, withinMs) => void ended.push(`${why} ${withinMs}`) }
}

type Answer = CertainRoute | undefined | Error

/** A follower with virtual time. `tick` lets collected changes be worked on. */
function open(t: TestContext, sessions: Fake[], routes: Record<string, Answer>, isOn = true) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const asked: string[] = []
  const follower = createRouteFollower({
    sessions: () => sessions,
    placedName,
    routeOf: (user) => {
      asked.push(user)
      const answer = routes[user]
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
    },
    isOn: () => isOn,
    endTimeoutMs: () => 60_000,
  })
  t.after(() => follower.close())
  const tick = async (ms = 50): Promise<void> => {
    t.mock.timers.tick(ms)
    await new Promise(setImmediate)
  }
  return { follower, asked, tick }
}

test('ends the sessions of a user whose route names another back end, and no others', async (t) => {
  const all = [session('alice', 'store1'), session('alice', 'store2'), session('bob', 'store1')]
  const { follower, asked, tick } = open(t, all, { alice: { backend: 'store2' }, bob: { backend: 'store2' } })
  follower.changed('alice')
  follower.changed('stranger')
  await tick()
  assert.deepEqual(
    all.map(({ ended }) => ended),
    [['moved 60000'], [], []],
  )
  assert.deepEqual(asked, ['alice'])
})

test('ends all sessions of a disabled user', async (t) => {
  const all = [session('alice', 'store1'), session('alice', 'store2')]
  const { follower, tick } = open(t, all, { alice: 'disabled' })
  follower.changed('alice')
  await tick()
  assert.deepEqual(
    all.map(({ ended }) => ended),
    [['disabled 60000'], ['disabled 60000']],
  )
})

test('ends no session without a certain answer', async (t) => {
  for (const answer of [
    undefined, // unknown, on hold, or from before an outage
    new MuxError('directory-unavailable', 'away'),
    new MuxError('route-invalid', 'no such back end'),
    new Error('a defect'),
  ]) {
    const alice = session('alice', 'store1')
    const { follower, tick } = open(t, [alice], { alice: answer })
    follower.changed('alice')
    await tick()
    assert.deepEqual(alice.ended, [])
    t.mock.timers.reset()
  }
})

test('asks again when the directory gave no answer', async (t) => {
  const alice = session('alice', 'store1')
  const routes: Record<string, Answer> = { alice: new MuxError('directory-unavailable', 'away') }
  const { follower, tick } = open(t, [alice], routes)
  follower.changed('alice')
  await tick()
  routes.alice = { backend: 'store2' }
  await tick(5000)
  await tick()
  assert.deepEqual(alice.ended, ['moved 60000'])
})

test('compares every running user once when any route may have changed, 50 at a time', async (t) => {
  const all = Array.from({ length: 120 }, (_, index) => session(`u${index % 60}`, 'store1'))
  const routes = Object.fromEntries(all.map(({ login }) => [login.user, { backend: 'store1' }]))
  const { follower, asked, tick } = open(t, all, routes)
  follower.changed(undefined)
  await tick()
  assert.equal(asked.length, 50)
  await tick()
  assert.equal(asked.length, 60)
  assert.equal(new Set(asked).size, 60)
  assert.ok(all.every(({ ended }) => ended.length === 0))
})

test('a bulk change of more users than are collected compares the running ones', async (t) => {
  const last = session('u4999', 'store1')
  const { follower, asked, tick } = open(t, [last], { u4999: { backend: 'store2' } })
  for (let index = 0; index < 5000; index++) follower.changed(`u${index}`)
  await tick()
  assert.deepEqual(asked, ['u4999'])
  assert.deepEqual(last.ended, ['moved 60000'])
})

test('a login whose lookup was under way at the change is compared when it has its back end', async (t) => {
  const alice = session('alice', undefined, 'routing')
  const { follower, asked, tick } = open(t, [alice], { alice: { backend: 'store2' } })
  follower.changed('alice')
  await tick()
  assert.deepEqual(asked, [])
  alice.login.backend = 'store1' // the old answer
  alice.phase = 'connecting'
  await tick()
  assert.deepEqual(alice.ended, ['moved 60000'])
})

test('leaves a session alone whose login was refused, and all of them with follow_routes: false', async (t) => {
  const refused = session('alice', 'store1', 'login')
  const { follower, tick } = open(t, [refused], { alice: { backend: 'store2' } })
  follower.changed('alice')
  await tick()
  assert.deepEqual(refused.ended, [])
  t.mock.timers.reset()
  const running = session('alice', 'store1')
  const off = open(t, [running], { alice: { backend: 'store2' } }, false)
  off.follower.changed('alice')
  await off.tick()
  assert.deepEqual([running.ended, off.asked], [[], []])
})

test('a placed user follows the route of the name in lower case', async (t) => {
  const alice = session('Alice', 'store1')
  const { follower, tick } = open(t, [alice], { Alice: { backend: 'store2' } })
  follower.changed('alice')
  await tick()
  assert.deepEqual(alice.ended, ['moved 60000'])
})
