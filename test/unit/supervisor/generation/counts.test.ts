/** The limits across an upgrade, with both generations in this process and the channel between them as function calls. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { BackendSettings, PenaltySettings, Settings } from '../../../../src/config/settings.ts'
import type { Caps, Uses } from '../../../../src/leases/lessor.ts'
import type { LedgerChange } from '../../../../src/limits/ledger-change.ts'
import type { Attempt, SessionQuestion } from '../../../../src/limits/ledger.ts'
import type { SiteStore } from '../../../../src/limits/site-store.ts'
import { keepClientLimits } from '../../../../src/supervisor/client-limits.ts'
import { createCounts } from '../../../../src/supervisor/generation/counts.ts'
import { keepLeases } from '../../../../src/supervisor/leases.ts'

const KEY = 'sessions store1'
const LIMIT = 10
const limits: BackendSettings['limits'] = {
  sessions: LIMIT,
  logins: 4,
  loginsPerSecond: undefined,
  queue: 1,
  waitMs: 1,
  leastForAddress: 1,
}
const settings = {
  listeners: [] as Settings['listeners'],
  routing: { backends: new Map([['store1', { name: 'store1', limits }]]) },
} as unknown as Settings
const log = { info: () => undefined, warn: () => undefined }

const penalty: PenaltySettings = { after: 1, stepMs: 1000, mostMs: 10_000, halfLifeMs: 60_000 }
const guess: Attempt = { network: '192.0.2.1', site: undefined, user: 'alice', penalty }
const rate = { limit: 'user_login_rate' as const, key: 'user_login_rate imap alice', rate: { count: 2, perMs: 60_000 } }
const session: SessionQuestion = {
  counts: [{ limit: 'sessions_per_user', key: 'sessions_per_user imap alice', max: 2 }],
  rates: [],
  known: { user: 'bob', network: '198.51.100.1' },
}
const connection = { counts: [{ limit: 'max_connections' as const, key: 'max_connections imap', max: 1 }], rates: [] }
const overUser = { limit: 'sessions_per_user', max: 2 }

/** A worker that uses what it may of what it wants. */
function createHolder() {
  let cap = 0
  const self = { wants: 0, used: 0, cap: () => cap }
  const ask = (caps: Caps): Promise<Uses> => {
    cap = caps.get(KEY) ?? 0
    self.used = Math.max(self.used, Math.min(cap, self.wants))
    return Promise.resolve(new Map([[KEY, { used: self.used, waiting: Math.max(0, self.wants - self.used) }]]))
  }
  return Object.assign(self, { ask })
}

function start(t: TestContext, store?: SiteStore) {
  const clients = keepClientLimits({ settings: () => settings, site: store && { id: 'one', store }, log })
  const leases = keepLeases({ settings: () => settings, site: undefined, log })
  const worker = createHolder()
  leases.join(worker.ask)
  t.after(async () => {
    clients.stop()
    await leases.stop()
  })
  const renew = async (): Promise<void> => {
    leases.renew()
    await leases.settled()
  }
  return { ...clients, leases, worker, renew, counts: createCounts({ limits: clients, leases }) }
}

type Generation = ReturnType<typeof start>

/** @returns what the end of the old generation is for the new one */
async function upgrade(old: Generation, next: Generation): Promise<() => Promise<void>> {
  const ended = Promise.withResolvers<undefined>()
  let hear: (changes: readonly LedgerChange[]) => void = () => undefined
  const onCounts = (to: typeof hear): void => void (hear = to)
  next.counts.inherit({ leases: old.counts.held(), lease: old.counts.lease, onCounts, ended: ended.promise })
  await next.renew()
  await old.counts.give((changes) => {
    hear(structuredClone(changes))
    return Promise.resolve()
  })
  await next.counts.share(old.counts.held())
  return async () => {
    ended.resolve(undefined)
    await turn()
  }
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

/** What a login of alice from the guesser's network has to wait. */
const delayOf = async ({ ledger }: Generation): Promise<number> => {
  const ifKnown = { counts: [], rates: [], network: guess.network, user: 'alice' }
  return (await ledger.askLogin({ rates: [], ifKnown, attempt: guess })).delayMs
}

test('the next generation delays those who have guessed, and counts rates on', async (t) => {
  const [old, next] = [start(t), start(t)]
  for (let failures = 0; failures < 4; failures++) old.ledger.noteFailure(guess)
  for (let logins = 0; logins < 2; logins++)
    assert.equal(await old.ledger.takeSession({ counts: [], rates: [rate], known: undefined }), undefined)
  await upgrade(old, next)
  assert.ok((await delayOf(next)) > 2500)
  const taken = await next.ledger.takeSession({ counts: [], rates: [rate], known: undefined })
  assert.ok(typeof taken === 'object' && taken.limit === 'user_login_rate')
  // A guesser that is still connected to the old generation.
  for (let failures = 0; failures < 4; failures++) old.ledger.noteFailure(guess)
  await turn()
  assert.ok((await delayOf(next)) > 6500)
})

test('the next generation knows the networks of users', async (t) => {
  const [old, next] = [start(t), start(t)]
  assert.equal(await old.ledger.takeSession(session), undefined)
  await upgrade(old, next)
  const own = { ...guess, user: 'bob', network: '198.51.100.1' }
  for (let failures = 0; failures < 4; failures++) next.ledger.noteFailure({ ...guess, user: 'bob' })
  const ask = (attempt: Attempt) => {
    const ifKnown = { counts: [], rates: [], network: attempt.network, user: 'bob' }
    return next.ledger.askLogin({ rates: [], ifKnown, attempt })
  }
  assert.equal((await ask(own)).delayMs, 0)
  assert.ok((await ask({ ...own, network: '203.0.113.1' })).delayMs > 0)
})

test('sessions of all older generations count until they end', async (t) => {
  const [first, second, third] = [start(t), start(t), start(t)]
  const keys = session.counts.map(({ key }) => key)
  assert.equal(await first.ledger.takeSession(session), undefined)
  const endFirst = await upgrade(first, second)
  assert.equal(await second.ledger.takeSession(session), undefined)
  assert.deepEqual(await second.ledger.takeSession(session), overUser)
  const endSecond = await upgrade(second, third)
  assert.deepEqual(await third.ledger.takeSession(session), overUser)

  first.ledger.release(keys)
  await turn()
  assert.equal(await third.ledger.takeSession(session), undefined)
  assert.deepEqual(await third.ledger.takeSession(session), overUser)

  await endFirst()
  await turn()
  assert.deepEqual(await third.ledger.takeSession(session), overUser)
  await endSecond()
  assert.equal(await third.ledger.takeSession(session), undefined)
  assert.deepEqual(await third.ledger.takeSession(session), overUser)
})

test('a session that ends while the counts are sent does not stay counted', async (t) => {
  const [old, next] = [start(t), start(t)]
  const keys = session.counts.map(({ key }) => key)
  assert.equal(await old.ledger.takeSession(session), undefined)
  // So many failures that the counts are sent in several messages.
  for (let place = 0; place < 5000; place++) old.ledger.noteFailure({ ...guess, network: `host${place}` })
  let messages = 0
  await old.counts.give(async (changes) => {
    if (++messages === 1) old.ledger.release(keys)
    await turn()
    changes.forEach(next.hear)
  })
  await turn()
  assert.ok(messages > 5)
  for (let sessions = 0; sessions < 2; sessions++)
    assert.equal(await next.ledger.takeSession(session), undefined, String(sessions))
})

test('with a store, sessions are not counted twice, and connections are counted on', async (t) => {
  const never: SiteStore = {
    look: () => Promise.reject(new Error('away')),
    enter: () => Promise.resolve(),
    take: () => Promise.reject(new Error('away')),
    put: () => Promise.resolve(),
    charge: () => Promise.resolve(0),
  }
  const [old, next] = [start(t, never), start(t)]
  assert.equal(await old.ledger.takeSession(session), undefined)
  assert.equal(await old.ledger.takeConnection(connection), undefined)
  await upgrade(old, next)
  assert.deepEqual(await next.ledger.takeConnection(connection), { limit: 'max_connections', max: 1 })
  for (let sessions = 0; sessions < 2; sessions++) assert.equal(await next.ledger.takeSession(session), undefined)
})

test('both generations together keep the limit of a back end, and the next one gets what becomes free', async (t) => {
  const [old, next] = [start(t), start(t)]
  old.worker.wants = 7
  await old.renew()
  await old.renew()
  assert.equal(old.worker.used, 7)
  const end = await upgrade(old, next)
  next.worker.wants = LIMIT
  for (let round = 0; round < 4; round++) {
    await next.renew()
    assert.ok(old.worker.used + next.worker.used <= LIMIT)
    assert.ok(old.worker.cap() + next.worker.cap() <= LIMIT)
  }
  assert.equal(next.worker.used, 3)
  old.worker.wants = old.worker.used = 2
  for (let round = 0; round < 4; round++) await next.renew()
  assert.equal(next.worker.used, 8)
  await end()
  for (let round = 0; round < 2; round++) await next.renew()
  assert.equal(next.worker.used, LIMIT)
})

test('a generation whose upgrade has failed has its limits again', async (t) => {
  const [old, next] = [start(t), start(t)]
  await old.renew()
  await upgrade(old, next)
  next.worker.wants = LIMIT
  for (let round = 0; round < 4; round++) await next.renew()
  assert.equal(old.worker.cap(), 0)
  old.counts.takeBack()
  await old.renew()
  assert.equal(old.worker.cap(), LIMIT)
})
