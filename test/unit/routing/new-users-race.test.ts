/** What becomes of a new user when a second instance, or a route, arrives between two questions to the directory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlacementPool } from '../../../src/config/settings.ts'
import type { Directory, DirectoryAnswer } from '../../../src/directory/directory.ts'
import type { DirectoryEntry } from '../../../src/directory/entry.ts'
import type { RouteStep } from '../../../src/directory/trace.ts'
import { createNewUsers } from '../../../src/routing/new-users.ts'
import { routing } from './fixture.ts'

const USER = 'new@example.test'
const pool: PlacementPool = [...routing().backends.values()].map((one) => ({ ...one, weight: 1 }))
const entry = (backend: string): DirectoryEntry => ({ backend, login: undefined, status: 'active' })
const placed = (backend: string): DirectoryAnswer => ({ entry: entry(backend), source: 'placed' })
const routed = (backend: string): DirectoryAnswer => ({ entry: entry(backend), source: 'directory' })

/** A directory that gives these answers to the questions for a place, in their order, and keeps what it was asked. */
function open(answers: readonly DirectoryAnswer[], { known = '', isUp = (_name: string): boolean => true } = {}) {
  const asked: string[] = []
  const directory: Directory = {
    lookup: () => Promise.resolve({ entry: undefined, source: 'directory' }),
    ...(known === '' ? {} : { lastKnown: () => entry(known) }),
    reserve: (_user, backend) => {
      const answer = answers[asked.push(backend) - 1]
      return answer ? Promise.resolve(answer) : Promise.reject(new Error('asked too often'))
    },
    invalidate: () => undefined,
    connected: Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const users = createNewUsers({ domains: new Map(), others: pool }, directory, { isUp, loginMs: 1000 })
  return { users, asked }
}

/** The back end of USER by hash, and the two others. */
const [own = '', other = '', third = ''] = await (async () => {
  const { users } = open([])
  const choice = (await users.place(USER, pool, () => undefined)).entry?.backend
  return [choice, ...pool.map(({ name }) => name).filter((name) => name !== choice)]
})()

for (const [what, answers, asked] of [
  ['a place of its own', [placed(own)], [own]],
  ['a route that has appeared', [routed(other)], [own]],
  ['the place that another instance chose first', [placed(other), placed(other)], [own, other]],
  ['a route that has appeared since another instance chose', [placed(other), routed(third)], [own, other]],
] as const) {
  test(`a new user gets ${what}`, async () => {
    const site = open(answers)
    assert.deepEqual(await site.users.place(USER, pool), answers.at(-1))
    assert.deepEqual(site.asked, asked)
  })
}

test('a new user is refused while the place changes from one question to the next', async () => {
  for (const last of [own, third]) {
    const site = open([placed(other), placed(last)])
    await assert.rejects(site.users.place(USER, pool), { code: 'directory-unavailable' })
    assert.deepEqual(site.asked, [own, other])
  }
})

test('a user whose last route is remembered gets that place or a route, and is refused any other place', async () => {
  assert.deepEqual(await open([placed(other)], { known: other }).users.place(USER, pool), placed(other))
  assert.deepEqual(await open([routed(third)], { known: other }).users.place(USER, pool), routed(third))
  const moved = open([placed(third)], { known: other })
  await assert.rejects(moved.users.place(USER, pool), { code: 'directory-unavailable' })
  assert.deepEqual(moved.asked, [other])
})

test('explains a place by the last route, and asks for none', async () => {
  const site = open([], { known: other })
  const steps: RouteStep[] = []
  assert.deepEqual(await site.users.place(USER, pool, (step) => steps.push(step)), placed(other))
  assert.deepEqual(
    steps.map(({ asked, outcome }) => [asked, outcome]),
    [['placement', 'found']],
  )
})

test('explains which back ends are down where all are, and asks for no place', async () => {
  const site = open([], { isUp: () => false })
  const steps: RouteStep[] = []
  await assert.rejects(
    site.users.place(USER, pool, (step) => steps.push(step)),
    { code: 'backend-down' },
  )
  assert.deepEqual(steps, [
    { asked: 'placement', key: USER, outcome: 'unavailable', detail: 'down: store1 store2 store3' },
  ])
  assert.deepEqual(site.asked, [])
})

test('places no user without a directory', async () => {
  const users = createNewUsers({ domains: new Map(), others: pool }, undefined, { isUp: () => true, loginMs: 1000 })
  await assert.rejects(users.place(USER, pool), { code: 'directory-unavailable' })
})
