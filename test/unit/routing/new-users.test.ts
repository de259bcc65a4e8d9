/** Users without a route: which of them are placed, where, and that no order of events brings one to two back ends at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PlacementPool, RoutingSettings } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import type { Directory, DirectoryAnswer } from '../../../src/directory/directory.ts'
import { createRouter, type Route } from '../../../src/routing/router.ts'
import type { RouteStep } from '../../../src/directory/trace.ts'
import { routing as plainRouting } from './fixture.ts'
import { named } from '../../support/user-name.ts'
import type { DirectoryEntry } from '../../../src/directory/entry.ts'

const at = (backend: string): DirectoryEntry => ({ backend, login: undefined, status: 'active' })

/** The usual back ends with these weights; new users of everywhere but fixed.test and none.test are placed. */
function routing(weights: Record<string, number> = {}): RoutingSettings {
  const plain = plainRouting()
  const pool: PlacementPool = [...plain.backends.values()].map((one) => ({ ...one, weight: weights[one.name] ?? 1 }))
  const domains = new Map([['none.test', undefined]])
  return { ...plain, domains: new Map([['fixed.test', { backend: 'store1' }]]), placement: { domains, others: pool } }
}

/** What a directory agrees on, as the scripts in Redis do: see directory/redis/claims.ts. Steps are atomic; time is given. */
class Agreement {
  readonly routes = new Map<string, DirectoryEntry>()
  readonly claims = new Map<string, { backend: string; untilMs: number }>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number = () => 0) {
    this.#nowMs = nowMs
  }

  reserve(user: string, backend: string, forMs: number): DirectoryAnswer {
    const route = this.routes.get(user)
    if (route) return { entry: route, source: 'directory' }
    const kept = this.claimOf(user)
    if (kept !== undefined && kept !== backend) return { entry: at(kept), source: 'placed' }
    this.claims.set(user, { backend, untilMs: this.#nowMs() + forMs })
    return { entry: at(backend), source: 'placed' }
  }

  commit(user: string, backend: string): void {
    if (!this.routes.has(user) && this.claimOf(user) === backend) this.routes.set(user, at(backend))
    if (this.routes.get(user)?.backend !== backend) throw new MuxError('directory-unavailable', 'not kept')
  }

  claimOf(user: string): string | undefined {
    const claim = this.claims.get(user)
    return claim && claim.untilMs > this.#nowMs() ? claim.backend : undefined
  }
}

/** A directory that answers at once. */
function directoryOn(agreement: Agreement): Directory {
  return {
    lookup: (user) => Promise.resolve({ entry: agreement.routes.get(user), source: 'directory' }),
    reserve: (...words) => Promise.resolve().then(() => agreement.reserve(...words)),
    commit: (...words) => Promise.resolve().then(() => agreement.commit(...words)),
    invalidate: () => undefined,
    connected: Promise.resolve(),
    close: () => Promise.resolve(),
  }
}

/** An instance of mailmux for which these back ends are down. */
function openRouter(
  agreement: Agreement,
  {
    down = [],
    weights = {},
    lastKnown = {},
  }: { down?: string[]; weights?: object; lastKnown?: Record<string, DirectoryEntry> } = {},
) {
  const isUp = (backend: string): boolean => !down.includes(backend)
  return createRouter(
    routing({ ...weights }),
    { ...directoryOn(agreement), lastKnown: (user) => lastKnown[user] },
    () => undefined,
    { isUp, loginMs: 1000 },
  )
}

const brief = (route: Route): string =>
  route.kind === 'backend' ? `${route.backend.name} ${route.source}` : route.kind

test('keeps a back end for a new user until a login is over, and makes it the route when it is accepted', async () => {
  const agreement = new Agreement()
  const router = openRouter(agreement)
  assert.equal(brief(await router.byUser(named('alice@example.test'))), 'store3 placed')
  assert.equal(agreement.routes.size, 0)
  await router.commit('alice@example.test', 'store3')
  assert.equal(brief(await router.byUser(named('alice@example.test'))), 'store3 directory')
})

test('keeps no data of a new user who is not accepted', async () => {
  const clock = { nowMs: 0 }
  const agreement = new Agreement(() => clock.nowMs)
  const router = openRouter(agreement)
  await router.byUser(named('alice@example.test'))
  clock.nowMs = 1000
  assert.equal(agreement.claimOf('alice@example.test'), undefined)
  await assert.rejects(router.commit('alice@example.test', 'store3'), { code: 'directory-unavailable' })
  assert.equal(agreement.routes.size, 0)
})

test('places no user of an excluded domain, and no user with a route', async () => {
  const agreement = new Agreement()
  const router = openRouter(agreement)
  assert.equal(brief(await router.byUser(named('alice@none.test'))), 'unknown')
  assert.equal(brief(await router.byUser(named('alice@fixed.test'))), 'store1 domain')
  assert.equal(brief(await router.byUser(named('fixed@example.test'))), 'store3 static')
  agreement.routes.set('alice@example.test', { ...at('store1'), status: 'disabled' })
  assert.equal(brief(await router.byUser(named('alice@example.test'))), 'disabled')
  assert.equal(agreement.claims.size, 0)
})

test('places a new user on no back end that is down, and fails if all are down', async () => {
  assert.equal(
    brief(await openRouter(new Agreement(), { down: ['store3'] }).byUser(named('alice@example.test'))),
    'store2 placed',
  )
  const down = ['store1', 'store2', 'store3']
  await assert.rejects(async () => openRouter(new Agreement(), { down }).byUser(named('alice@example.test')), {
    code: 'backend-down',
  })
})

test('keeps a placed user on the same back end, also if it is down or others are added', async () => {
  const agreement = new Agreement()
  agreement.routes.set('alice@example.test', at('store3'))
  const router = openRouter(agreement, { down: ['store3'], weights: { store1: 1000 } })
  assert.equal(brief(await router.byUser(named('alice@example.test'))), 'store3 directory')
})

test('follows another instance that was first, and lengthens what that one has begun', async () => {
  const clock = { nowMs: 0 }
  const agreement = new Agreement(() => clock.nowMs)
  assert.equal(
    brief(await openRouter(agreement, { down: ['store3'] }).byUser(named('alice@example.test'))),
    'store2 placed',
  )
  clock.nowMs = 900
  assert.equal(brief(await openRouter(agreement).byUser(named('alice@example.test'))), 'store2 placed')
  clock.nowMs = 1800
  assert.equal(agreement.claimOf('alice@example.test'), 'store2')
})

test('goes nowhere, and lengthens nothing, where another instance has chosen a back end that is down', async () => {
  const clock = { nowMs: 0 }
  const agreement = new Agreement(() => clock.nowMs)
  await openRouter(agreement).byUser(named('alice@example.test'))
  clock.nowMs = 900
  const other = openRouter(agreement, { down: ['store3'] })
  await assert.rejects(async () => other.byUser(named('alice@example.test')), { code: 'backend-down', retryable: true })
  clock.nowMs = 1000
  assert.equal(brief(await other.byUser(named('alice@example.test'))), 'store2 placed')
})

test('treats all spellings of a new user as one user', async () => {
  const agreement = new Agreement()
  const router = openRouter(agreement)
  const route = await router.byUser(named('ALICE@example.test'))
  assert.deepEqual([...agreement.claims.keys()], ['alice@example.test'])
  assert.equal(route.kind === 'backend' && route.login, 'ALICE@example.test', "the case is the back end's business")
  await router.commit('ALICE@example.test', 'store3')
  for (const spelling of ['alice', 'Alice', 'ALICE'])
    assert.equal(brief(await router.byUser(named(`${spelling}@example.test`))), 'store3 directory')
})

test('lets a spelling have a route of its own', async () => {
  const agreement = new Agreement()
  agreement.routes.set('Alice@example.test', at('store1'))
  agreement.routes.set('alice@example.test', at('store2'))
  const router = openRouter(agreement)
  assert.equal(brief(await router.byUser(named('Alice@example.test'))), 'store1 directory')
  assert.equal(brief(await router.byUser(named('ALICE@example.test'))), 'store2 directory')
})

test('fails closed where the directory cannot be asked, and asks for no other back end', async () => {
  const away = new MuxError('directory-unavailable', 'away')
  const asked: string[] = []
  const directory: Directory = {
    ...directoryOn(new Agreement()),
    reserve(_user, backend) {
      asked.push(backend)
      return Promise.reject(away)
    },
  }
  const router = createRouter(routing(), directory, () => undefined, { isUp: () => true, loginMs: 1000 })
  await assert.rejects(async () => router.byUser(named('alice@example.test')), away)
  assert.deepEqual(asked, ['store3'])
})

test('places no user with a directory that stores no placements', async () => {
  const directory = directoryOn(new Agreement())
  delete directory.reserve
  const router = createRouter(routing(), directory, () => undefined, { isUp: () => true, loginMs: 1000 })
  await assert.rejects(async () => router.byUser(named('alice@example.test')), { code: 'directory-unavailable' })
})

test('refuses a back end that is kept but not in the routing file', async () => {
  const agreement = new Agreement()
  agreement.claims.set('alice@example.test', { backend: 'evil.example.net', untilMs: 1000 })
  await assert.rejects(async () => openRouter(agreement).byUser(named('alice@example.test')), { code: 'route-invalid' })
})

test('explains where a new user would be placed, and writes nothing', async () => {
  const agreement = new Agreement()
  const steps: RouteStep[] = []
  const router = openRouter(agreement, { down: ['store1'] })
  assert.equal(brief(await router.byUser(named('alice@example.test'), (step) => steps.push(step))), 'store3 placed')
  assert.equal(agreement.claims.size, 0)
  assert.deepEqual(steps.at(-1), {
    asked: 'placement',
    key: 'alice@example.test',
    outcome: 'found',
    detail: 'store3 (by hash, of store2*1 store3*1)',
  })
})

/** How long each thing may take at most in the play below, in its own time. */
const ANSWER_MS = 10
const BACKEND_MS = 80
const LOGIN_MS = BACKEND_MS + 2 * ANSWER_MS

/** Time that passes only when everybody waits. */
function createTime() {
  const waiting: { atMs: number; go: () => void }[] = []
  const time = {
    nowMs: 0,
    pass: (ms: number) => new Promise<void>((go) => waiting.push({ atMs: time.nowMs + ms, go })),
    async run(): Promise<void> {
      for (;;) {
        await new Promise((done) => setImmediate(done)) // whoever can go on has
        const next = waiting.sort((a, b) => a.atMs - b.atMs).shift()
        if (!next) return
        time.nowMs = next.atMs
        next.go()
      }
    },
  }
  return time
}

const upTo = (max: number) => fc.integer({ min: 0, max })

/** One login at one of three instances, and how long each step of it takes. */
const login = fc.record({
  by: upTo(2),
  beginsMs: upTo(400),
  accepted: fc.boolean(),
  backendMs: upTo(BACKEND_MS),
  sessionMs: upTo(300),
  /** for each question to the directory: until it arrives there, and until the answer is back; for some too late, or much too late */
  questions: fc.array(fc.tuple(fc.oneof({ weight: 9, arbitrary: upTo(8) }, upTo(400)), upTo(8)), {
    minLength: 5,
    maxLength: 5,
  }),
})
type Login = typeof login extends fc.Arbitrary<infer T> ? T : never

/** Left to itself each would choose another back end for the user. */
const INSTANCES = [
  { down: '', weights: {} },
  { down: 'store3', weights: {} },
  { down: '', weights: { store1: 1000 } },
]

/** Plays logins of one user. @returns the places where the user was at once, the most that there were */
async function play(logins: readonly Login[]): Promise<string[]> {
  const time = createTime()
  const agreement = new Agreement(() => time.nowMs)
  const there = new Map<Login, string>()
  let most: string[] = []
  const visit = (who: Login, backend: string): void => {
    there.set(who, backend)
    const places = [...new Set(there.values())]
    if (places.length > most.length) most = places
  }

  async function logIn(me: Login): Promise<void> {
    await time.pass(me.beginsMs)
    const { down, weights } = INSTANCES[me.by]!
    let asked = 0
    async function ask<T>(step: () => T): Promise<T> {
      const [thereMs = 0, backMs = 0] = me.questions[asked++] ?? []
      const answer = time.pass(thereMs).then(step)
      // What is given up is carried out all the same.
      if (thereMs + backMs > ANSWER_MS) {
        answer.catch(() => undefined)
        await time.pass(ANSWER_MS)
        throw new MuxError('directory-unavailable', 'no answer in time')
      }
      return answer.finally(() => time.pass(backMs))
    }
    const router = createRouter(
      routing(weights),
      {
        ...directoryOn(agreement),
        lookup: (user) => ask(() => ({ entry: agreement.routes.get(user), source: 'directory' })),
        reserve: (...words) => ask(() => agreement.reserve(...words)),
        commit: (...words) => ask(() => agreement.commit(...words)),
      },
      () => undefined,
      { isUp: (backend) => backend !== down, loginMs: LOGIN_MS },
    )
    try {
      const route = await router.byUser(named('alice@example.test'))
      if (route.kind !== 'backend') return
      visit(me, route.backend.name)
      await time.pass(me.backendMs)
      if (!me.accepted) return
      if (route.source === 'placed') await router.commit('alice@example.test', route.backend.name)
      await time.pass(me.sessionMs)
    } catch (error) {
      if (!(error instanceof MuxError)) throw error
    } finally {
      there.delete(me)
    }
  }

  const all = Promise.all(logins.map(logIn))
  await time.run()
  await all
  return most
}

test('brings no user to two back ends at once, whatever the order of events', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(login, { minLength: 2, maxLength: 10 }), async (logins) => {
      const places = await play(logins)
      assert.ok(places.length <= 1, `the user is at ${places.join(' and ')}`)
    }),
    { numRuns: 1000 },
  )
})

/** A user of everywhere, and a back end that is not chosen for that user. */
async function otherHome(user: string): Promise<string> {
  const route = await openRouter(new Agreement()).byUser(named(user))
  return route.kind === 'backend' && route.backend.name === 'store1' ? 'store2' : 'store1'
}

test('places a user whose last route is remembered where that one led, for every instance', async () => {
  const user = 'dora@example.test'
  const home = await otherHome(user)
  const agreement = new Agreement()
  const router = openRouter(agreement, { lastKnown: { [user]: at(home) } })
  assert.equal(brief(await router.byUser(named(user))), brief(await openRouter(agreement).byUser(named(user))))
  await router.commit(user, home)
  assert.deepEqual(agreement.routes.get(user), at(home))
})

test('places a user whose last route is remembered nowhere else', async () => {
  const user = 'dora@example.test'
  const home = await otherHome(user)
  const lastKnown = { [user]: at(home) }
  await assert.rejects(async () => openRouter(new Agreement(), { lastKnown, down: [home] }).byUser(named(user)), {
    code: 'backend-down',
  })
  const agreement = new Agreement()
  await openRouter(agreement).byUser(named(user))
  await assert.rejects(async () => openRouter(agreement, { lastKnown }).byUser(named(user)), {
    code: 'directory-unavailable',
  })
  for (const entry of [
    { ...at(home), login: 'd' },
    { ...at(home), status: 'hold' as const },
  ])
    await assert.rejects(
      async () => openRouter(new Agreement(), { lastKnown: { [user]: entry } }).byUser(named(user)),
      {
        code: 'directory-unavailable',
      },
    )
})

test('explains that the last route counts, and claims nothing', async () => {
  const user = 'dora@example.test'
  const agreement = new Agreement()
  const steps: RouteStep[] = []
  await openRouter(agreement, { lastKnown: { [user]: at('store2') } }).byUser(named(user), (step) => steps.push(step))
  assert.equal(steps.at(-1)?.detail, 'store2 (the last route)')
  assert.equal(agreement.claims.size, 0)
})
