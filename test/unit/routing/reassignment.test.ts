/** The users of a back end that is drained with `reassign`: who gets another back end, which one, and who stays. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendSettings, RoutingSettings } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import type { AnswerSource, Directory } from '../../../src/directory/directory.ts'
import type { DirectoryEntry } from '../../../src/directory/entry.ts'
import type { RouteStep } from '../../../src/directory/trace.ts'
import { createRouter, type Route } from '../../../src/routing/router.ts'
import { named } from '../../support/user-name.ts'
import { routing as plainRouting } from './fixture.ts'

const ALICE = 'alice@example.test'
const at = (backend: string): DirectoryEntry => ({ backend, login: undefined, status: 'active' })

type Changes = Partial<Pick<BackendSettings, 'weight' | 'ports' | 'lmtp'>>

/** Three stores, on which the users of every domain but none.test are placed. */
function routing(changes: Record<string, Changes> = {}): RoutingSettings {
  const plain = plainRouting()
  const backends = new Map(
    [...plain.backends].map(([name, settings]) => [name, { ...settings, ...changes[name] }] as const),
  )
  const others = [...backends.values()].filter(({ weight }) => weight > 0)
  return { ...plain, backends, domains: new Map(), placement: { domains: new Map([['none.test', undefined]]), others } }
}

type Scene = {
  routes?: Record<string, DirectoryEntry>
  source?: AnswerSource
  /** with the order to reassign their users */
  ordered?: string[]
  away?: string[]
  settings?: RoutingSettings
  reassign?: Directory['reassign'] | 'none'
}

/** The directory changes a route as the script in Redis does: see directory/redis/reassign.ts. */
function open({ routes = {}, source = 'directory', ordered = ['store1'], away = [], settings, reassign }: Scene = {}) {
  const table = new Map(Object.entries(routes))
  const calls: string[] = []
  const swap: NonNullable<Directory['reassign']> = (user, from, to) => {
    calls.push(`${user}: ${from} > ${to}`)
    const route = table.get(user)
    if (route?.backend === from && route.status === 'active') table.set(user, { ...route, backend: to })
    return Promise.resolve(table.get(user))
  }
  const directory: Directory = {
    lookup: (user) => Promise.resolve({ entry: table.get(user), source }),
    ...(reassign !== 'none' && { reassign: reassign ?? swap }),
    invalidate: () => undefined,
    connected: Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const router = createRouter(settings ?? routing(), directory, () => undefined, {
    isUp: () => true,
    loginMs: 1000,
    reassigning: {
      isOrdered: (name) => ordered.includes(name),
      mayTake: (name) => !ordered.includes(name) && !away.includes(name),
    },
  })
  return { router, table, calls, logIn: async (user: string) => brief(await router.byUser(named(user))) }
}

const brief = (route: Route): string =>
  route.kind === 'backend' ? `${route.backend.name} as ${route.login}, ${route.source}` : route.kind

test('gives a user whose route names the drained back end another one, for good, with the same login name', async () => {
  const { logIn, calls, table } = open({
    routes: { [ALICE]: { ...at('store1'), login: 'al' }, 'b@x.test': at('store2') },
  })
  assert.equal(await logIn(ALICE), 'store3 as al, directory')
  assert.deepEqual(table.get(ALICE), { backend: 'store3', login: 'al', status: 'active' })
  assert.equal(await logIn(ALICE), 'store3 as al, directory')
  assert.equal(await logIn('b@x.test'), 'store2 as b@x.test, directory')
  assert.deepEqual(calls, [`${ALICE}: store1 > store3`])
})

test('reassigns a spelling of a name by the key of the route that it has', async () => {
  const { logIn, calls } = open({ routes: { [ALICE]: at('store1') }, source: 'cache' })
  assert.equal(await logIn('ALICE@example.test'), 'store3 as ALICE@example.test, directory')
  assert.deepEqual(calls, [`${ALICE}: store1 > store3`])
})

test('takes what the route is afterwards: of another instance, or of an operator who was faster', async () => {
  for (const [now, expected] of [
    [at('store2'), 'store2 as alice@example.test, directory'],
    [{ ...at('store2'), status: 'disabled' }, 'disabled'],
    [{ ...at('store1'), status: 'hold' }, 'hold'],
    // The order does not stand in Redis any more.
    [undefined, 'store1 as alice@example.test, directory'],
  ] as const) {
    const { logIn } = open({ routes: { [ALICE]: at('store1') }, reassign: () => Promise.resolve(now) })
    assert.equal(await logIn(ALICE), expected)
  }
})

test('two instances that see other back ends agree on the first choice', async () => {
  const one = open({ routes: { [ALICE]: at('store1') }, away: ['store3'] })
  const other = open({
    routes: { [ALICE]: at('store1') },
    reassign: (user, from, to) => {
      const route = one.table.get(user)
      if (route?.backend === from) one.table.set(user, at(to))
      return Promise.resolve(one.table.get(user))
    },
  })
  assert.equal(await one.logIn(ALICE), 'store2 as alice@example.test, directory')
  assert.equal(await other.logIn(ALICE), 'store2 as alice@example.test, directory')
})

test('leaves users on hold, disabled users, and users without the order or a certain route', async () => {
  const hold = { token: 'a'.repeat(32), untilMs: Date.now() + 60_000 }
  for (const [what, scene] of Object.entries<Scene>({
    hold: { routes: { [ALICE]: { ...at('store1'), status: 'hold', hold } } },
    'a hold of an operator': { routes: { [ALICE]: { ...at('store1'), status: 'hold' } } },
    'a hold that has run out': {
      routes: { [ALICE]: { ...at('store1'), status: 'hold', hold: { ...hold, untilMs: 1 } } },
    },
    disabled: { routes: { [ALICE]: { ...at('store1'), status: 'disabled' } } },
    'no order': { routes: { [ALICE]: at('store1') }, ordered: [] },
    'another back end': { routes: { [ALICE]: at('store1') }, ordered: ['store2'] },
    'a remembered route in an outage': { routes: { [ALICE]: at('store1') }, source: 'stale' },
    'a route of the snapshot': { routes: { [ALICE]: at('store1') }, source: 'snapshot' },
    'a directory that cannot change routes': { routes: { [ALICE]: at('store1') }, reassign: 'none' },
  })) {
    const { logIn, calls, table } = open(scene)
    await logIn(ALICE)
    assert.deepEqual([calls, table.get(ALICE)], [[], scene.routes?.[ALICE]], what)
  }
})

test('leaves the routes of the routing file', async () => {
  const settings = routing()
  const { logIn, calls } = open({
    settings: { ...settings, domains: new Map([['example.org', { backend: 'store3' }]]) },
    ordered: ['store3'],
  })
  assert.equal(await logIn('fixed@example.test'), 'store3 as inner, static')
  assert.equal(await logIn('someone@example.org'), 'store3 as someone@example.org, domain')
  assert.deepEqual(calls, [])
})

test('a user of a domain without placement stays', async () => {
  const { logIn } = open({ routes: { 'a@none.test': at('store1') } })
  assert.equal(await logIn('a@none.test'), 'store1 as a@none.test, directory')
})

test('chooses no back end that is not up, takes no new users, or serves less', async () => {
  const both = { imap: 143, pop3: 110 }
  const everywhere = { store1: { ports: both }, store2: { ports: both }, store3: { ports: both } }
  for (const [what, scene] of Object.entries<Scene>({
    'not up': { away: ['store3'] },
    'drained too': { ordered: ['store1', 'store3'] },
    'weight 0': { settings: routing({ store3: { weight: 0 } }) },
    'no pop3': { settings: routing({ ...everywhere, store3: { ports: { imap: 143 } } }) },
    'no lmtp': { settings: routing({ store1: { lmtp: 24 }, store2: { lmtp: 24 } }) },
  })) {
    const { logIn } = open({ routes: { [ALICE]: at('store1') }, ...scene })
    assert.equal(await logIn(ALICE), 'store2 as alice@example.test, directory', what)
  }
  const { logIn } = open({ routes: { [ALICE]: at('store1') }, away: ['store2', 'store3'] })
  assert.equal(await logIn(ALICE), 'store1 as alice@example.test, directory')
})

test('fails closed where the directory cannot be asked', async () => {
  const away = new MuxError('directory-unavailable', 'away')
  const { logIn } = open({ routes: { [ALICE]: at('store1') }, reassign: () => Promise.reject(away) })
  await assert.rejects(logIn(ALICE), away)
})

test('changes nothing for an explanation, a delivery or a running session', async () => {
  const { router, calls } = open({ routes: { [ALICE]: at('store1') } })
  const steps: RouteStep[] = []
  assert.equal(
    brief(await router.byUser(named(ALICE), (step) => steps.push(step))),
    'store3 as alice@example.test, directory',
  )
  assert.deepEqual(steps.at(-1), {
    asked: 'placement',
    key: ALICE,
    outcome: 'found',
    detail: 'store3 (reassigned from store1, by hash, of store2*1 store3*1)',
  })
  assert.equal(brief(await router.byRecipient(named(ALICE), '')), 'store1 as alice@example.test, directory')
  assert.deepEqual(await router.byRunning(ALICE), { backend: 'store1' })
  assert.deepEqual(calls, [])
})

test('an explanation says that no other back end takes the user', async () => {
  const { router } = open({ routes: { [ALICE]: at('store1') }, away: ['store2', 'store3'] })
  const steps: RouteStep[] = []
  await router.byUser(named(ALICE), (step) => steps.push(step))
  const detail = 'no other back end takes the users of store1 now'
  assert.deepEqual(steps.at(-1), { asked: 'placement', key: ALICE, outcome: 'unavailable', detail })
})

test('lists the back ends to which users of one back end could be reassigned', () => {
  assert.deepEqual(open().router.reassignsTo('store1'), ['store2', 'store3'])
  assert.deepEqual(open({ settings: plainRouting() }).router.reassignsTo('store1'), [])
  assert.deepEqual(open().router.reassignsTo('store9'), [])
})
