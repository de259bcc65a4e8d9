/** New users are placed by hash, once and for all: two mailmux that see the back ends differently agree on one Redis. */
import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { openMailClient, type LoginOutcome, type MailProtocol } from '../support/mail-client.ts'
import { type Mailmux, startNamedMailmux, toBackend, type YamlMap } from '../support/mailmux.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { openScene } from '../support/scene.ts'
import { directoryConnected, PASSWORD, STORES, type StoreName } from '../support/site.ts'

const scene = openScene()
let stores: Record<StoreName, Dovecot>
let redis: Redis
let instances: Mailmux[]

before(async () => {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('mailmux')
  const [store1, store2, store3] = await Promise.all(STORES.map(startStore))
  assert.ok(store1 && store2 && store3)
  stores = { store1, store2, store3 }
  redis = await startRedis(scene, { durable: true })
  // The second would place almost all users on other back ends than the first.
  const weights = [{ store3: 0 }, { store1: 1000, store3: 0 }]
  instances = await Promise.all(
    weights.map(async (own: Partial<Record<StoreName, number>>, index) => {
      return startNamedMailmux(scene, `mailmux-${index + 1}`, {
        certificate,
        backends: Object.fromEntries(
          STORES.map((name) => [name, { ...toBackend(stores[name]), weight: own[name] ?? 1 }]),
        ),
        domains: { 'example.test': { placement: 'hash' } },
        directory: { redis: { url: redis.url, timeout: '500ms' } },
        limits: { backend_timeout: '3s', failure_delay: '0s' },
      })
    }),
  )
  for (const mailmux of instances) await directoryConnected(mailmux)
})
after(() => scene.close())

/** A store that accepts each user with the right password, and creates the mailbox. */
async function startStore(name: StoreName): Promise<Dovecot> {
  const mailDirectory = join(scene.directory, `mail-${name}`)
  await mkdir(mailDirectory)
  await chmod(mailDirectory, 0o777) // Dovecot creates the mailboxes, under another system user
  const extra = `passdb {\n  driver = static\n  args = password=${PASSWORD}\n}`
  return startDovecot(scene, { name, users: {}, mailDirectory, extra })
}

async function logIn(
  mailmux: Mailmux,
  user: string,
  { protocol = 'imap', password = PASSWORD }: { protocol?: MailProtocol; password?: string } = {},
): Promise<LoginOutcome> {
  const client = await openMailClient(scene, protocol, mailmux.ports[`${protocol}Clear`], 'clear', {})
  try {
    return await client.login(user, password)
  } finally {
    client.peer.destroy()
  }
}

/** The store of each login of a user that was accepted, by the stores' own accounts, which may come a little late. */
function visitsOf(user: string): StoreName[] {
  return STORES.flatMap((name) =>
    stores[name]
      .log()
      .split(`Login: user=<${user}>`)
      .slice(1)
      .map(() => name),
  )
}

/** The stores that have accepted a user, once their logs have so many logins. */
async function storesOf(user: string, logins: number): Promise<StoreName[]> {
  const visits = await until(
    START_DEADLINE_MS,
    () => (visitsOf(user).length >= logins ? visitsOf(user) : undefined),
    () => `no store tells of ${user}`,
  )
  return [...new Set(visits)]
}

const routeOf = (user: string): Promise<string> => redis.command('HGET', `mailmux:user:${user}`, 'backend')
const guests = (kind: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${kind}${index}@example.test`)

/** Logs a user in, and requires that all logins have been at one store, which is remembered. */
async function place(mailmux: Mailmux, user: string): Promise<StoreName> {
  const before = visitsOf(user).length
  const { accepted, answer } = await logIn(mailmux, user)
  assert.ok(accepted, `${user}: ${answer}`)
  return theOneStore(user, before + 1)
}

async function theOneStore(user: string, logins: number): Promise<StoreName> {
  const found = await storesOf(user, logins)
  assert.equal(found.length, 1, `${user} was on ${found.join(' and ')}`)
  assert.equal(await routeOf(user), found[0])
  return found[0]!
}

test('takes each of many users to one store, with concurrent logins at two instances by two protocols', async () => {
  const ways = instances.flatMap((mailmux) => (['imap', 'pop3'] as const).map((protocol) => ({ mailmux, protocol })))
  const users = guests('race', 40)
  for (let from = 0; from < users.length; from += 10) {
    const logins = users
      .slice(from, from + 10)
      .flatMap((user) =>
        ways.map(async ({ mailmux, protocol }) => ({ user, ...(await logIn(mailmux, user, { protocol })) })),
      )
    for (const { user, accepted, answer } of await Promise.all(logins)) assert.ok(accepted, `${user}: ${answer}`)
  }
  const placed = new Map<string, number>()
  for (const user of users) {
    const store = await theOneStore(user, ways.length)
    placed.set(store, (placed.get(store) ?? 0) + 1)
  }
  assert.deepEqual([...placed.keys()].sort(), ['store1', 'store2'], 'both instances were first now and then')
  for (const mailmux of instances)
    assert.ok(((await mailmux.metric('mailmux_route_lookups_total{source="placed"}')) ?? 0) > 0)
})

test('writes no route for a user whose login no store accepts', async () => {
  const users = guests('guess', 20)
  const logins = users.flatMap((user) => instances.map((mailmux) => logIn(mailmux, user, { password: 'wrong' })))
  for (const { answer } of await Promise.all(logins)) assert.match(answer, /^NO \[AUTHENTICATIONFAILED\]/)
  for (const user of users) {
    assert.equal(await redis.command('EXISTS', `mailmux:user:${user}`), '0')
    const leftMs = Number(await redis.command('PTTL', `mailmux:claim:{mailmux:user:${user}}`))
    assert.ok(leftMs > 0 && leftMs <= 63_000, `the claim of ${user} is left for ${leftMs} ms`)
  }
})

test('places no user of a domain that is not listed, nor of its subdomain', async () => {
  for (const user of ['alice@example.org', 'alice@sub.example.test']) {
    assert.match((await logIn(instances[0]!, user)).answer, /^NO \[AUTHENTICATIONFAILED\]/)
    assert.equal(await redis.command('EXISTS', `mailmux:user:${user}`), '0')
  }
})

test('takes every spelling of a new user to the same store', async () => {
  const store = await place(instances[0]!, 'spelt@example.test')
  for (const [index, spelling] of ['SPELT@example.test', 'Spelt@Example.Test'].entries())
    assert.ok((await logIn(instances[index]!, spelling)).accepted)
  assert.deepEqual(await storesOf('spelt@example.test', 3), [store]) // Dovecot folds the names itself
})

test('lets a route that an operator has written win over the choice, and moves a placed user with one HSET', async () => {
  await redis.command('HSET', 'mailmux:user:routed@example.test', 'backend', 'store3')
  assert.equal(await place(instances[0]!, 'routed@example.test'), 'store3')
  const before = await place(instances[0]!, 'moved@example.test')
  await redis.command('HSET', 'mailmux:user:moved@example.test', 'backend', 'store3')
  for (const mailmux of instances) assert.ok((await logIn(mailmux, 'moved@example.test')).accepted)
  assert.deepEqual(await storesOf('moved@example.test', 3), [before, 'store3'])
})

test('moves no user when a back end is added, and sends new users there too', async () => {
  const [mailmux] = instances
  assert.ok(mailmux)
  const users = guests('before', 10)
  const homes = await Promise.all(users.map((user) => place(mailmux, user)))
  await reweigh(mailmux, { store3: 1000 })
  assert.deepEqual(await Promise.all(users.map((user) => place(mailmux, user))), homes)
  const added = await Promise.all(guests('after', 5).map((user) => place(mailmux, user)))
  assert.deepEqual(new Set(added), new Set(['store3']))
  await reweigh(mailmux, { store3: 0 })
})

/** Changes weights in the routing file, and waits until they count. */
async function reweigh(mailmux: Mailmux, weights: Partial<Record<StoreName, number>>): Promise<void> {
  const before = await mailmux.metric('mailmux_config_reloads_total{outcome="success"}')
  const routing = parse(await readFile(mailmux.routingFile, 'utf8')) as { backends: Record<string, YamlMap> }
  for (const [name, weight] of Object.entries(weights)) routing.backends[name]!.weight = weight
  await writeFile(mailmux.routingFile, stringify(routing))
  await until(
    START_DEADLINE_MS,
    async () => (await mailmux.metric('mailmux_config_reloads_total{outcome="success"}')) !== before || undefined,
    () => 'the weights are not taken over',
  )
}

test('reassigns each user of a drained store to one other store at two concurrent instances, and no user on hold', async () => {
  const held = 'drained-held@example.test'
  await redis.command('HSET', `mailmux:user:${held}`, 'backend', 'store3')
  await redis.command('HSET', `mailmux:user:${held}`, 'status', 'hold', 'hold', `${'a'.repeat(32)} 99999999999`)
  await redis.command('HSET', 'mailmux:backend:store3', 'state', 'drain', 'reassign', '1')
  for (const mailmux of instances)
    await until(
      START_DEADLINE_MS,
      async () => (await mailmux.metric('mailmux_backend_state{backend="store3",state="drain"}')) || undefined,
      () => 'the drain is not followed',
    )
  const waiting = instances.map((mailmux) => openMailClient(scene, 'imap', mailmux.ports.imapClear, 'clear', {}))
  for (const { peer } of await Promise.all(waiting)) peer.send(`a LOGIN ${held} ${PASSWORD}`)
  const users: string[] = []
  const chosen: StoreName[] = []
  // Until each instance was first for some user. Each has other weights, so that they would choose different stores.
  for (let round = 1; new Set(chosen).size < 2; round++) {
    assert.ok(round <= 20, 'one instance was always first')
    const some = guests(`drained-${round}-`, 20)
    for (const user of some) await redis.command('HSET', `mailmux:user:${user}`, 'backend', 'store3')
    const logins = some.flatMap((user, index) => {
      const order = index % 2 === 0 ? instances : instances.toReversed()
      return order.map(async (mailmux) => ({ user, ...(await logIn(mailmux, user)) }))
    })
    for (const { user, accepted, answer } of await Promise.all(logins)) assert.ok(accepted, `${user}: ${answer}`)
    users.push(...some)
    chosen.push(...(await Promise.all(some.map((user) => theOneStore(user, instances.length)))))
  }
  assert.deepEqual(new Set(chosen), new Set(['store1', 'store2']))
  const lines = instances.flatMap((mailmux) => mailmux.log().filter(({ msg }) => msg === 'user reassigned'))
  assert.deepEqual(
    lines.map(({ user, from, to }) => `${String(user)} ${String(from)} ${String(to)}`).sort(),
    users.map((user, index) => `${user} store3 ${chosen[index]}`).sort(),
  )
  assert.equal(await routeOf(held), 'store3')
  assert.deepEqual(visitsOf(held), [])
  for (const { peer } of await Promise.all(waiting)) peer.destroy()
  await redis.command('DEL', 'mailmux:backend:store3')
})

test('keeps a placed user at a store that is down, and places new ones on those that are up', async () => {
  const [mailmux] = instances
  assert.ok(mailmux)
  const all = await Promise.all(guests('kept', 8).map(async (user) => ({ user, store: await place(mailmux, user) })))
  const there = all.filter(({ store }) => store === 'store2').map(({ user }) => user)
  assert.ok(there.length > 0 && there.length < all.length)
  await stores.store2.stop()
  for (const user of there) assert.match((await logIn(mailmux, user)).answer, /^NO \[UNAVAILABLE\]/)
  await until(
    START_DEADLINE_MS,
    async () => {
      for (const protocol of ['imap', 'pop3'] as const) await logIn(mailmux, there[0]!, { protocol })
      return (await mailmux.metric('mailmux_backend_up{backend="store2"}')) === 0 || undefined
    },
    () => 'nobody notices that store2 is down',
  )
  for (const user of guests('new', 8)) assert.equal(await place(mailmux, user), 'store1')
  for (const user of there) {
    assert.match((await logIn(mailmux, user)).answer, /^NO \[UNAVAILABLE\]/)
    assert.equal(await routeOf(user), 'store2')
  }
  await stores.store2.restart()
})

test('places no user while Redis hangs or is away, and serves users who have been placed', async () => {
  const [mailmux] = instances
  assert.ok(mailmux)
  const store = await place(mailmux, 'known@example.test')
  assert.ok((await logIn(mailmux, 'known@example.test')).accepted) // so that the route is remembered, which was new before
  redis.pause()
  assert.match((await logIn(mailmux, 'hang@example.test')).answer, /^NO \[UNAVAILABLE\]/)
  redis.resume()
  await redis.stop()
  assert.match((await logIn(mailmux, 'away@example.test')).answer, /^NO \[UNAVAILABLE\]/)
  const { accepted, answer } = await logIn(mailmux, 'known@example.test')
  assert.ok(accepted, answer)
  assert.deepEqual(await storesOf('known@example.test', 3), [store])
  for (const user of ['hang@example.test', 'away@example.test']) assert.deepEqual(visitsOf(user), [])
  await redis.restart()
  for (const one of instances) await directoryConnected(one)
  for (const user of ['hang@example.test', 'away@example.test']) await place(mailmux, user)
})

test('moves no user to another store when Redis loses its data', async () => {
  const [first, second] = instances
  assert.ok(first && second)
  const known = guests('flushed', 4)
  const homes = new Map<string, StoreName>()
  for (const user of known) {
    homes.set(user, await place(first, user))
    assert.ok((await logIn(first, user)).accepted) // so that the route is remembered, which was new before
  }
  await redis.command('FLUSHALL')
  for (const user of known) {
    assert.ok((await logIn(first, user)).accepted)
    assert.match((await logIn(second, user)).answer, /^NO \[UNAVAILABLE\]/, 'this instance does not know the user')
  }
  assert.match((await logIn(first, 'cold@example.test')).answer, /^NO \[UNAVAILABLE\]/)
  const keys = (await redis.command('KEYS', '*')).split('\n').filter((key) => !/^mailmux:(?:instance|lease)/u.test(key))
  assert.deepEqual(keys, ['mailmux:marker'], 'no route is written')

  await redis.command('HDEL', 'mailmux:marker', 'lost')
  for (const one of instances)
    await until(
      START_DEADLINE_MS,
      async () => (await one.metric('mailmux_directory_up')) === 1 || undefined,
      () => 'the acceptance is not noticed',
    )
  for (const user of known) {
    assert.ok((await logIn(first, user)).accepted)
    assert.equal(await routeOf(user), homes.get(user), 'the last route is restored')
    assert.ok((await logIn(second, user)).accepted)
    assert.deepEqual(new Set(visitsOf(user)), new Set([homes.get(user)]))
  }
})
