/** A lookup that is explained: the steps that it takes, and that it leaves nothing behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { asOctets } from '../../../src/octets.ts'
import type { Directory } from '../../../src/directory/directory.ts'
import { identifyUser } from '../../../src/routing/identity.ts'
import type { NameNote } from '../../../src/user-name.ts'
import { createRouteCache } from '../../../src/directory/remembered/route-cache.ts'
import { createRouter } from '../../../src/routing/router.ts'
import { noteAnswer, type RouteStep } from '../../../src/directory/trace.ts'
import { PLACING, routing } from '../routing/fixture.ts'
import { named, rulesWith } from '../../support/user-name.ts'
import { type DirectoryEntry, describeEntry } from '../../../src/directory/entry.ts'

const AWAY = new MuxError('directory-unavailable', 'away')
const at = (backend: string): DirectoryEntry => ({ backend, login: undefined, status: 'active' })

/** A router before a cache before a store that gives one answer, and a clock. */
function open(answer: DirectoryEntry | undefined | Error) {
  const store = { answer, reads: 0 }
  const clock = { nowMs: 0 }
  const cache = createRouteCache(
    (user, trace) => {
      store.reads++
      const read = store.answer instanceof Error ? Promise.reject(store.answer) : Promise.resolve(store.answer)
      return trace ? noteAnswer(trace, `key:${user}`, read) : read
    },
    () => ({ maxEntries: 2, lifetimeMs: 1000, negativeLifetimeMs: 100, maxStaleMs: 5000 }),
    () => clock.nowMs,
  )
  cache.startTrusting()
  const directory: Directory = { ...cache, connected: Promise.resolve(), close: () => Promise.resolve() }
  const router = createRouter(routing(), directory, () => assert.fail('what only looks is not counted'), PLACING)
  const explain = async (user: string) => {
    const steps: RouteStep[] = []
    const find = async () => router.byUser(named(user), (step) => steps.push(step))
    const route = await find().catch((error: unknown) => error)
    return { steps, route: route instanceof MuxError ? route.code : (route as { kind: string }).kind }
  }
  return { store, clock, cache, router, explain }
}

test('shows a static user, and asks no other source', async () => {
  const { explain, store } = open(at('store1'))
  assert.deepEqual(await explain('fixed@example.test'), {
    steps: [{ asked: 'users', key: 'fixed@example.test', outcome: 'found', detail: 'store3, login inner' }],
    route: 'backend',
  })
  assert.equal(store.reads, 0)
})

test('lists the directory after the memory, and stores nothing', async () => {
  const { explain, store, cache } = open(at('store2'))
  const user = 'alice@example.test'
  const asked = [
    { asked: 'users', key: user, outcome: 'nothing' },
    { asked: 'memory', key: user, outcome: 'nothing' },
    { asked: 'directory', key: `key:${user}`, outcome: 'found', detail: 'store2' },
  ]
  assert.deepEqual(await explain(user), { steps: asked, route: 'backend' })
  assert.deepEqual(await explain(user), { steps: asked, route: 'backend' })
  assert.equal((await cache.lookup(user)).source, 'directory', 'a login after it asks, as it would have without it')
  assert.equal(store.reads, 3)
})

test('stores no unknown user, and continues with the domain', async () => {
  const { explain, store, cache } = open(undefined)
  const { steps, route } = await explain('alice@example.test')
  assert.deepEqual(
    steps.map(({ asked, outcome }) => [asked, outcome]),
    [
      ['users', 'nothing'],
      ['memory', 'nothing'],
      ['directory', 'nothing'],
      ['domains', 'found'],
    ],
  )
  assert.equal(route, 'backend')
  store.answer = at('store2')
  assert.deepEqual((await cache.lookup('alice@example.test')).entry, at('store2'))
})

test('reports the age of a remembered route, and for how long it is valid', async () => {
  const { explain, clock, cache } = open(at('store2'))
  await cache.lookup('alice@example.test')
  clock.nowMs = 400
  assert.deepEqual((await explain('alice@example.test')).steps[1], {
    asked: 'memory',
    key: 'alice@example.test',
    outcome: 'found',
    detail: 'store2',
    ageMs: 400,
    leftMs: 600,
  })
})

test('shows why a remembered route is not current', async () => {
  const reasons: Record<string, (opened: ReturnType<typeof open>) => void> = {
    'store2 (too old)': ({ clock }) => (clock.nowMs = 1000),
    'store2 (changes are not reported)': ({ cache }) => cache.stopTrusting(),
    'store2 (to be compared)': ({ cache }) => cache.invalidate('alice@example.test'),
  }
  for (const [detail, spoil] of Object.entries(reasons)) {
    const opened = open(at('store2'))
    await opened.cache.lookup('alice@example.test')
    spoil(opened)
    const [, memory, directory] = (await opened.explain('alice@example.test')).steps
    assert.deepEqual([memory?.outcome, memory?.detail, directory?.asked], ['outdated', detail, 'directory'])
  }
})

test('shows the route that stands in while the directory is unavailable', async () => {
  const { explain, store, clock, cache } = open(at('store2'))
  await cache.lookup('alice@example.test')
  cache.stopTrusting()
  clock.nowMs = 2000
  store.answer = AWAY
  const { steps, route } = await explain('alice@example.test')
  assert.equal(route, 'backend')
  assert.deepEqual(steps.slice(2), [
    { asked: 'directory', key: 'key:alice@example.test', outcome: 'unavailable', detail: 'away' },
    {
      asked: 'memory',
      key: 'alice@example.test',
      outcome: 'found',
      detail: 'store2 (stands in)',
      ageMs: 2000,
      leftMs: 3000,
    },
  ])
})

test('reports a directory that is unavailable, and an invalid entry', async () => {
  for (const [error, outcome] of [
    [AWAY, 'unavailable'],
    [new MuxError('route-invalid', 'poisoned'), 'invalid'],
  ] as const) {
    const { steps, route } = await open(error).explain('alice@example.test')
    assert.equal(route, error.code)
    assert.deepEqual(steps.at(-1), {
      asked: 'directory',
      key: 'key:alice@example.test',
      outcome,
      detail: error.message,
    })
  }
})

test('keeps the order in which users are forgotten', async () => {
  const { explain, cache, store } = open(at('store2'))
  await cache.lookup('a@example.test')
  await cache.lookup('b@example.test')
  await explain('a@example.test')
  await cache.lookup('c@example.test') // the memory has room for two
  store.reads = 0
  await cache.lookup('a@example.test')
  assert.equal(store.reads, 1, 'the look kept a user who has not logged in for the longest time')
})

test('quotes little of the content of the directory', () => {
  const entry: DirectoryEntry = { backend: `\u001b[31m"${'x'.repeat(5000)}`, login: '\r\n'.repeat(500), status: 'hold' }
  const text = describeEntry(entry)
  assert.ok(text.length < 600)
  assert.doesNotMatch(text, /[\r\n\u001b]/)
  assert.match(text, /, hold$/)
})

test('lists how a name is read', () => {
  const aliases = new Map([['alias.test', 'example.test']])
  const rules = rulesWith({ defaultDomain: 'Example.test', delimiters: '@%', aliases })
  const read = (name: string) => {
    const notes: NameNote[] = []
    return [identifyUser(asOctets(name), rules, (note) => notes.push(note))?.user, ...notes]
  }
  assert.deepEqual(read('alice'), ['alice@example.test', { what: 'default-domain', domain: 'Example.test' }])
  assert.deepEqual(read('alice%Alias.test'), [
    'alice@example.test',
    { what: 'delimiter', delimiter: '%' },
    { what: 'alias', from: 'alias.test', to: 'example.test' },
  ])
  for (const name of ['', 'al ice', 'alice@', 'x'.repeat(321), 'alice\xff', `${'x'.repeat(310)}@example.test`]) {
    const [user, ...notes] = read(name)
    assert.equal(user, undefined)
    assert.equal((notes.at(-1) as NameNote).what, 'wrong', name)
  }
})
