import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { asOctets } from '../../../src/octets.ts'
import type { Directory } from '../../../src/directory/directory.ts'
import { createRouter, type Route } from '../../../src/routing/router.ts'
import { PLACING, routing } from './fixture.ts'
import type { DirectoryEntry } from '../../../src/directory/entry.ts'

/** A directory with these entries; an error is thrown. Notes whom it was asked for. */
function directoryOf(entries: Record<string, Partial<DirectoryEntry> | Error>, asked: string[] = []): Directory {
  return {
    lookup(user) {
      asked.push(user)
      const entry = entries[user]
      if (entry instanceof Error) return Promise.reject(entry)
      const whole: DirectoryEntry | undefined = entry && {
        backend: 'store1',
        login: undefined,
        status: 'active',
        ...entry,
      }
      return Promise.resolve({ entry: whole, source: 'directory' })
    },
    invalidate: () => undefined,
    connected: Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

function brief(route: Route): object {
  return route.kind === 'backend' ? { ...route, backend: route.backend.name } : route
}

const NO_FACTS = (): never => assert.fail('nobody asks for more than the user')

/** What becomes of a name, as a session asks it: who is it, and where does that go? */
async function route(
  directory: Directory | undefined,
  name: string,
  domain?: string,
  noted: string[] = [],
): Promise<unknown> {
  const router = createRouter(routing(), directory, (who, { fault }) => noted.push(`${who} ${fault}`), PLACING)
  const user = router.identify(asOctets(name), { defaultDomain: domain, delimiters: '@', masterSeparator: undefined })
  return user === undefined ? 'nobody' : { user: user.user, ...brief(await router.byUser(user, undefined, NO_FACTS)) }
}

const AWAY = new MuxError('directory-unavailable', 'away')

test('names a user at each kind of back end with the master user behind the name', () => {
  const router = createRouter(routing(), undefined, () => undefined, PLACING)
  const rules = { defaultDomain: undefined, delimiters: '@', masterSeparator: '*' }
  const name = router.identify(asOctets('alice@example.test*admin'), rules)
  assert.ok(name)
  assert.ok(router.loginsOf(name).length > 0)
  for (const login of router.loginsOf(name)) assert.match(login, /^alice(?:@example\.test)?\*admin$/)
})

test('uses a static user before the directory and the domain, and asks no directory', async () => {
  const asked: string[] = []
  const directory = directoryOf({ 'fixed@example.test': { backend: 'store2' } }, asked)
  assert.deepEqual(await route(directory, 'fixed@Example.test'), {
    kind: 'backend',
    user: 'fixed@example.test',
    backend: 'store3',
    login: 'inner',
    source: 'static',
  })
  assert.deepEqual(asked, [])
})

test('takes the directory before the domain', async () => {
  const directory = directoryOf({ 'alice@example.test': { backend: 'store2', login: 'a1' } })
  assert.deepEqual(await route(directory, 'alice@example.test'), {
    kind: 'backend',
    user: 'alice@example.test',
    backend: 'store2',
    login: 'a1',
    source: 'directory',
  })
})

test('uses the route of the domain for an unknown user, under the whole name', async () => {
  for (const directory of [directoryOf({}), undefined])
    assert.deepEqual(await route(directory, 'alice', 'EXAMPLE.test'), {
      kind: 'backend',
      user: 'alice@example.test',
      backend: 'store1',
      login: 'alice@example.test',
      source: 'domain',
    })
})

test('finds no route for a domain without one, and has no default', async () => {
  assert.deepEqual(await route(directoryOf({}), 'alice@other.test'), { kind: 'unknown', user: 'alice@other.test' })
  assert.deepEqual(await route(directoryOf({}), 'alice'), { kind: 'unknown', user: 'alice' })
})

test('asks no directory for what cannot be a name', async () => {
  const asked: string[] = []
  for (const name of ['', 'alice\r\nGET x', 'al ice@example.test', '*', 'alice@example.test\0'])
    assert.deepEqual(await route(directoryOf({}, asked), name), 'nobody')
  assert.deepEqual(asked, [])
})

test('asks the directory for the normalised name', async () => {
  const asked: string[] = []
  await route(directoryOf({}, asked), 'alice@EXAMPLE.test')
  await route(directoryOf({}, asked), 'bob', 'Example.Test')
  assert.deepEqual(asked, ['alice@example.test', 'bob@example.test'])
})

// A user sent to the domain's store while Redis is away would find an empty mailbox there
test('fails closed while the directory is away, though the domain has a route', async () => {
  await assert.rejects(route(directoryOf({ 'alice@example.test': AWAY }), 'alice@example.test'), {
    code: 'directory-unavailable',
    retryable: true,
  })
})

test('serves static users while the directory is away', async () => {
  const directory = directoryOf({ 'fixed@example.test': AWAY })
  assert.equal(((await route(directory, 'fixed@example.test')) as Route).kind, 'backend')
})

for (const status of ['hold', 'disabled'] as const)
  test(`sends a user with the status ${status} nowhere, though the entry and the domain name back ends`, async () => {
    assert.deepEqual(await route(directoryOf({ 'alice@example.test': { status } }), 'alice@example.test'), {
      kind: status,
      user: 'alice@example.test',
      source: 'directory',
      ...(status === 'hold' && { token: undefined }),
    })
  })

test('a hold counts until its end, and the route counts again after it', async () => {
  const hold = (untilMs: number) =>
    directoryOf({ 'alice@example.test': { status: 'hold', hold: { token: 't', untilMs } } })
  const now = Date.now()
  const held = (await route(hold(now + 60_000), 'alice@example.test')) as Route
  assert.deepEqual([held.kind, held.kind === 'hold' && held.token], ['hold', 't'])
  assert.equal(((await route(hold(now - 1000), 'alice@example.test')) as Route).kind, 'backend')
})

/** Entries that mailmux never writes: cache poisoning (CVE-2022-27924). */
const POISONED: Record<string, Partial<DirectoryEntry>> = {
  'a back end that the routing file does not name': { backend: 'evil.example.net' },
  'a back end that is an address': { backend: '192.0.2.1:143' },
  'a back end of the prototype': { backend: '__proto__' },
  'a back end with control characters': { backend: 'store1\r\n' },
  'no back end': { backend: '' },
  'a CR LF in the login': { login: 'alice\r\nA LOGOUT' },
  'a NUL in the login': { login: 'alice\0' },
  'a space in the login': { login: 'alice secret' },
  'a quote in the login': { login: 'alice" "' },
  'a wildcard in the login': { login: '*' },
  'an empty login': { login: '' },
  'a login that is too long': { login: 'x'.repeat(400) },
}

for (const [what, entry] of Object.entries(POISONED))
  test(`refuses an entry with ${what}, and reports the refusal`, async () => {
    const noted: string[] = []
    await assert.rejects(route(directoryOf({ 'alice@example.test': entry }), 'alice@example.test', undefined, noted), {
      code: 'route-invalid',
      retryable: false,
    })
    assert.deepEqual(noted, [`alice@example.test ${entry.backend === undefined ? 'bad-login' : 'unknown-backend'}`])
  })

test('reports no refused route if the directory is unavailable or the route is valid', async () => {
  const noted: string[] = []
  const directory = directoryOf({ 'alice@example.test': AWAY, 'bob@example.test': {} })
  await assert.rejects(route(directory, 'alice@example.test', undefined, noted))
  await route(directory, 'bob@example.test', undefined, noted)
  assert.deepEqual(noted, [])
})

test('takes an entry whose login is any honest name', async () => {
  for (const login of ['a', 'alice@inner.test', 'al.ice+x', 'j\u00fcrgen@b\u00fccher.test']) {
    const found = (await route(directoryOf({ 'alice@example.test': { login } }), 'alice@example.test')) as {
      login: string
    }
    assert.equal(found.login, login)
  }
})

test('repeats no more than a little of a poisoned entry in its error', async () => {
  const directory = directoryOf({ 'alice@example.test': { backend: `\u001b[31m\n${'x'.repeat(5000)}` } })
  await assert.rejects(route(directory, 'alice@example.test'), (error) => {
    assert.ok(error instanceof MuxError)
    assert.ok(error.message.length < 200)
    assert.doesNotMatch(error.message, /\p{Cc}/u)
    return true
  })
})
