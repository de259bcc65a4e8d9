/** What a router hands to its directory, and what it takes from the answer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asOctets } from '../../../src/octets.ts'
import type { Directory, DirectoryAnswer, LoginFacts } from '../../../src/directory/directory.ts'
import { domainOf, formatLogin, identifyUser } from '../../../src/routing/identity.ts'
import { createRouter } from '../../../src/routing/router.ts'
import { Secret } from '../../../src/secret.ts'
import { MAX_USER_OCTETS, type NameRules } from '../../../src/user-name.ts'
import { named } from '../../support/user-name.ts'
import { PLACING, routing } from './fixture.ts'

const NOTHING: DirectoryAnswer = { entry: undefined, source: 'directory' }

/** A directory that answers by the key, and notes each call. */
function directoryOf(answers: Record<string, DirectoryAnswer>) {
  const calls: unknown[][] = []
  const directory: Directory = {
    lookup(user, _trace, facts) {
      calls.push(['lookup', user, facts])
      return Promise.resolve(answers[user] ?? NOTHING)
    },
    invalidate: (user) => void calls.push(['invalidate', user]),
    commit: (user, backend) => Promise.resolve(void calls.push(['commit', user, backend])),
    connected: Promise.resolve(),
    close: () => Promise.resolve(),
  }
  return { directory, calls }
}

test('refuses a login that the directory refuses, even where the answer has a route too', async () => {
  const refusal = { reason: 'authorization-failed', detail: 'no mail for alice', waitMs: 3000, last: true } as const
  const entry = { backend: 'store2', login: undefined, status: 'active' } as const
  const { directory } = directoryOf({ 'alice@x.test': { entry, source: 'directory', refusal } })
  const router = createRouter(routing(), directory, () => undefined, PLACING)
  const route = await router.byUser(named('alice@x.test'))
  assert.deepEqual(route, { kind: 'refused', source: 'directory', ...refusal })
})

test('uses the directory’s password for the back end, and none without it', async () => {
  const password = new Secret(asOctets('other'))
  const entry = { backend: 'store2', login: 'inner', status: 'active' } as const
  const { directory } = directoryOf({
    'alice@x.test': { entry: { ...entry, password }, source: 'directory' },
    'bob@x.test': { entry, source: 'directory' },
  })
  const router = createRouter(routing(), directory, () => undefined, PLACING)
  const [alice, bob] = [await router.byUser(named('alice@x.test')), await router.byUser(named('bob@x.test'))]
  assert.ok(alice.kind === 'backend' && bob.kind === 'backend')
  assert.equal(alice.password, password)
  assert.equal('password' in bob, false)
})

test('hands the facts of the login and the back ends to the directory, where there are facts', async () => {
  const { directory, calls } = directoryOf({})
  const settings = routing()
  const router = createRouter(settings, directory, () => undefined, PLACING)
  const facts = (): LoginFacts => assert.fail('this directory asks for no facts')
  await router.byUser(named('alice@x.test'), undefined, facts)
  await router.byUser(named('alice@x.test'))
  assert.deepEqual(calls, [
    ['lookup', 'alice@x.test', { facts, backends: settings.backends }],
    ['lookup', 'alice@x.test', undefined],
  ])
})

/** New users of every domain but that of the fixture are placed. */
function placingRouting() {
  const plain = routing()
  return { ...plain, placement: { domains: new Map(), others: [...plain.backends.values()] } }
}

test('finds the route of a placed user in whatever case the name is typed', async () => {
  const entry = { backend: 'store2', login: undefined, status: 'active' } as const
  const { directory, calls } = directoryOf({ 'alice@x.test': { entry, source: 'directory' } })
  const router = createRouter(placingRouting(), directory, () => undefined, PLACING)
  const route = await router.byUser(named('Alice@x.test'))
  assert.ok(route.kind === 'backend')
  assert.equal(route.backend.name, 'store2')
  assert.deepEqual(
    calls.map(([, user]) => user),
    ['Alice@x.test', 'alice@x.test'],
  )
  // This directory remembers no new users, so that a user without a route cannot be placed; a name in lower case is asked for once.
  calls.length = 0
  await assert.rejects(async () => router.byUser(named('bob@x.test')), { code: 'directory-unavailable' })
  assert.deepEqual(calls.length, 1)
})

test('invalidates the typed name and the name of the placed user, each once', () => {
  const { directory, calls } = directoryOf({})
  const router = createRouter(routing(), directory, () => undefined, PLACING)
  router.invalidate(named('Alice@x.test').user)
  router.invalidate(named('bob@x.test').user)
  assert.deepEqual(calls, [
    ['invalidate', 'Alice@x.test'],
    ['invalidate', 'alice@x.test'],
    ['invalidate', 'bob@x.test'],
  ])
})

test('commits a user under the name of the placed user; without a directory both do nothing', async () => {
  const { directory, calls } = directoryOf({})
  await createRouter(routing(), directory, () => undefined, PLACING).commit(named('Alice@x.test').user, 'store1')
  assert.deepEqual(calls, [['commit', 'alice@x.test', 'store1']])
  const alone = createRouter(routing(), undefined, () => undefined, PLACING)
  alone.invalidate(named('Alice@x.test').user)
  await alone.commit(named('Alice@x.test').user, 'store1')
})

test('bounds the octets of a name before it is decoded, and says what is wrong', () => {
  const rules: NameRules = {
    defaultDomain: undefined,
    delimiters: '@',
    masterSeparator: undefined,
    aliases: new Map(),
    userCase: 'keep',
  }
  const identify = (text: string) => {
    const notes: unknown[] = []
    return [identifyUser(asOctets(text), rules, (note) => notes.push(note))?.user, ...notes]
  }
  const domain = `${'d'.repeat(60)}.`.repeat(4) + 'test'
  const longest = `${'a'.repeat(MAX_USER_OCTETS - domain.length - 1)}@${domain}`
  assert.equal(longest.length, MAX_USER_OCTETS)
  assert.deepEqual(identify(`${longest}a`).at(-1), { what: 'wrong', why: 'it is longer than 320 octets' })
  assert.notDeepEqual(identify(longest).at(-1), { what: 'wrong', why: 'it is longer than 320 octets' })
  assert.deepEqual(identify('\xff\xfe'), [undefined, { what: 'wrong', why: 'it is not UTF-8' }])
})

test('writes the name at a back end by its template', () => {
  const alice = named('alice@x.test')
  assert.deepEqual(
    ['%u', '%n', '%d', '%n+%d', '100%%%n', '%%u'].map((template) => formatLogin(template, alice)),
    ['alice@x.test', 'alice', 'x.test', 'alice+x.test', '100%alice', '%u'],
  )
  const bare = named('alice')
  assert.deepEqual(
    ['%u', '%n', '[%d]'].map((template) => formatLogin(template, bare)),
    ['alice', 'alice', '[]'],
  )
  assert.deepEqual(['alice@x.test', 'alice', 'a@b@c'].map(domainOf), ['x.test', undefined, 'b@c'])
})

test('reports the route of a connected user, and places no new user', async () => {
  const at = (backend: string) => ({ backend, login: undefined, status: 'active' }) as const
  const { directory, calls } = directoryOf({
    'alice@x.test': { entry: at('store2'), source: 'cache' },
    'dave@x.test': { entry: { ...at('store2'), status: 'disabled' }, source: 'directory' },
    'erin@x.test': { entry: { ...at('store2'), status: 'hold' }, source: 'directory' },
    'old@x.test': { entry: at('store2'), source: 'stale' },
    'kept@x.test': { entry: at('store2'), source: 'snapshot' },
    'wrong@x.test': { entry: at('nowhere'), source: 'directory' },
    'placed@x.test': { entry: at('store2'), source: 'directory' },
  })
  const router = createRouter(placingRouting(), directory, () => assert.fail('no login'), PLACING)
  assert.deepEqual(await router.byRunning('alice@x.test'), { backend: 'store2' })
  assert.equal(await router.byRunning('dave@x.test'), 'disabled')
  assert.equal(await router.byRunning('erin@x.test'), undefined)
  assert.equal(await router.byRunning('nobody@x.test'), undefined)
  assert.deepEqual(await router.byRunning('Placed@x.test'), { backend: 'store2' })
  await assert.rejects(router.byRunning('old@x.test'), { code: 'directory-unavailable' })
  await assert.rejects(router.byRunning('kept@x.test'), { code: 'directory-unavailable' })
  await assert.rejects(router.byRunning('wrong@x.test'), { code: 'route-invalid' })
  assert.ok(calls.every(([what]) => what === 'lookup'))
})

test('asks no directory that is empty, and one from the moment when it is not any more', async () => {
  const { directory, calls } = directoryOf({})
  let isEmpty = true
  const router = createRouter(routing(), { ...directory, isEmpty: () => isEmpty }, () => undefined, PLACING)
  assert.deepEqual(await router.byUser(named('alice@none.test')), { kind: 'unknown' })
  assert.equal(calls.length, 0)
  isEmpty = false
  await router.byUser(named('alice@none.test'))
  assert.deepEqual(
    calls.map(([what, user]) => [what, user]),
    [['lookup', 'alice@none.test']],
  )
})
