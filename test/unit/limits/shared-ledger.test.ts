/** Limits that instances share: exact together, put right after each loss, and divided while the store is away. */
import assert from 'node:assert/strict'
import { stat } from 'node:fs'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Claims, Ledger, Taken } from '../../../src/limits/ledger.ts'
import { createLocalLedger } from '../../../src/limits/local-ledger.ts'
import { createSharedLedger } from '../../../src/limits/shared-ledger.ts'
import { createSiteCounts, type SiteCounts } from '../../../src/limits/site-counts.ts'
import type { SiteStore } from '../../../src/limits/site-store.ts'
import { MemorySite } from './memory-site.ts'

const KEY = 'sessions_per_user imap alice@example.test'

type Instance = { ledger: Ledger; site: SiteCounts; changes: (string | undefined)[] }

function start(memory: MemorySite, id: string): Instance {
  const nowMs = (): number => memory.nowMs
  const local = createLocalLedger(nowMs)
  const changes: (string | undefined)[] = []
  const site = createSiteCounts({
    id,
    store: memory.storeOf(id),
    local,
    onChange: (cause) => changes.push(cause),
    nowMs,
  })
  return { ledger: createSharedLedger(local, () => site), site, changes }
}

/** Instances that use the store. */
async function startAll(memory: MemorySite, ...ids: string[]): Promise<Instance[]> {
  memory.beat(...ids)
  const all = ids.map((id) => start(memory, id))
  await Promise.all(all.map(({ site }) => site.tick()))
  assert.ok(all.every(({ site }) => site.isShared()))
  return all
}

const claim = (max: number, key = KEY): Claims => ({ counts: [{ limit: 'sessions_per_user', key, max }], rates: [] })
const logIn = async ({ ledger }: Instance, max: number, key?: string): Promise<Taken> =>
  ledger.takeSession({ ...claim(max, key), known: undefined })

async function countAccepted(answers: readonly Promise<Taken>[]): Promise<number> {
  return (await Promise.all(answers)).filter((taken) => taken === undefined).length
}

/** What was given back is written in the background. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 10; turns++) await turn()
}

async function later(memory: MemorySite, ms: number, ...all: Instance[]): Promise<void> {
  memory.nowMs += ms
  for (const { site } of all) await site.tick()
  await settled()
}

test('20 parallel logins on two instances: as many as the limit, and one more for each that ends', async () => {
  const memory = new MemorySite()
  const [a, b] = await startAll(memory, 'a', 'b')
  assert.ok(a && b)
  const answers = Array.from({ length: 20 }, (_, index) => logIn(index % 2 === 0 ? a : b, 5))
  assert.equal(await countAccepted(answers), 5)
  assert.deepEqual(await logIn(a, 5), { limit: 'sessions_per_user', max: 5 })
  a.ledger.release([KEY])
  await settled()
  assert.equal(await countAccepted([logIn(b, 5), logIn(b, 5)]), 1)
})

test('one command for each login, and none for a limit that is not shared', async () => {
  const memory = new MemorySite()
  const [a] = await startAll(memory, 'a')
  assert.ok(a)
  memory.calls.length = 0
  const other: Claims = {
    counts: [{ limit: 'connections_per_address', key: 'connections_per_address imap x', max: 3 }],
    rates: [],
  }
  assert.equal(a.ledger.takeConnection(other), undefined)
  a.ledger.release(['connections_per_address imap x'])
  assert.equal(await a.ledger.takeSession({ counts: [], rates: [], known: undefined }), undefined)
  await settled()
  assert.deepEqual(memory.calls, [])
  await logIn(a, 5)
  assert.deepEqual(memory.calls, ['take'])
})

test('the counts of an instance that is gone end with its heartbeat, and those of one that goes on return', async () => {
  const memory = new MemorySite()
  const [a, b] = await startAll(memory, 'a', 'b')
  assert.ok(a && b)
  assert.equal(await countAccepted(Array.from({ length: 5 }, () => logIn(a, 5))), 5)
  memory.nowMs += 10_000
  memory.beat('b')
  await b.site.tick()
  assert.deepEqual(await logIn(b, 5), { limit: 'sessions_per_user', max: 5 })
  await later(memory, 6000, b)
  assert.equal(await logIn(b, 5), undefined)
  assert.deepEqual(memory.fields(KEY), { b: 1 })
  // It was frozen, and goes on with its sessions: they count again at its next look, even if it writes a heartbeat before that.
  memory.beat('a', 'b')
  await a.site.tick()
  assert.deepEqual(memory.fields(KEY), { a: 5, b: 1 })
  assert.deepEqual(a.changes, [])
})

test('an instance whose heartbeat was missing writes its counts again', async () => {
  const memory = new MemorySite()
  const [a, b] = await startAll(memory, 'a', 'b')
  assert.ok(a && b)
  assert.equal(await countAccepted(Array.from({ length: 3 }, () => logIn(a, 5))), 3)
  memory.nowMs += 16_000
  memory.beat('b')
  await b.site.tick()
  await logIn(b, 5)
  await a.site.tick()
  assert.deepEqual([a.site.isShared(), a.changes.length], [false, 1])
  memory.beat('a')
  await later(memory, 2000, a)
  assert.deepEqual(memory.fields(KEY), { a: 3, b: 1 })
  assert.deepEqual([a.site.isShared(), a.changes.at(-1)], [true, undefined])
})

test('while the store is away, each instance has its part of the limit, at least one, and says so once', async () => {
  const memory = new MemorySite()
  const [a, b] = await startAll(memory, 'a', 'b')
  assert.ok(a && b)
  await Promise.all([a, b].map(({ site }) => site.tick()))
  memory.fault = 'not connected'
  assert.equal(await countAccepted(Array.from({ length: 4 }, () => logIn(a, 5))), 2)
  assert.equal(await countAccepted(Array.from({ length: 4 }, () => logIn(b, 1, 'sessions_per_user imap bob'))), 1)
  await later(memory, 5000, a, b)
  assert.deepEqual([a.changes, b.changes], [['not connected'], ['not connected']])
  a.ledger.release([KEY])
  memory.fault = undefined
  memory.beat('a', 'b')
  await later(memory, 30_000, a, b)
  memory.beat('a', 'b')
  await later(memory, 1, a, b)
  assert.deepEqual(memory.fields(KEY), { a: 1 })
  assert.deepEqual(a.changes, ['not connected', undefined])
  assert.equal(await countAccepted(Array.from({ length: 9 }, () => logIn(b, 5))), 4)
})

test('a store that hangs costs a login a moment, once', async () => {
  const memory = new MemorySite()
  const [a] = await startAll(memory, 'a')
  assert.ok(a)
  memory.hangs = true
  assert.equal(await logIn(a, 5), undefined)
  assert.equal(a.changes.length, 1)
  memory.calls.length = 0
  assert.equal(await logIn(a, 5), undefined)
  assert.deepEqual(memory.calls, [])
})

test('after a loss of data the counts are written again, and no instance takes more meanwhile than its part', async () => {
  const memory = new MemorySite()
  const [a, b] = await startAll(memory, 'a', 'b')
  assert.ok(a && b)
  await Promise.all([a, b].map(({ site }) => site.tick()))
  assert.equal(await countAccepted([logIn(a, 4), logIn(a, 4), logIn(b, 4)]), 3)
  memory.lose()
  memory.beat('a', 'b')
  await later(memory, 1000, a, b)
  assert.deepEqual(memory.fields(KEY), { a: 2, b: 1 })
  assert.deepEqual(await logIn(a, 4), { limit: 'sessions_per_user', max: 2 })
  memory.beat('a', 'b')
  await later(memory, 4000, a, b)
  assert.equal(await countAccepted([logIn(a, 4), logIn(b, 4), logIn(b, 4)]), 1)
})

test('a store that refuses each time is not tried again each second', async () => {
  const memory = new MemorySite()
  const [a] = await startAll(memory, 'a')
  assert.ok(a)
  for (let second = 0; second < 60; second++) {
    memory.fault = 'NOPERM'
    await logIn(a, 50)
    memory.fault = undefined
    memory.beat('a')
    await later(memory, 1000, a)
  }
  assert.ok(a.changes.length < 20, `${a.changes.length} changes`)
})

const RATE = { limit: 'login_rate', key: 'login_rate imap 192.0.2.1', rate: { count: 4, perMs: 60_000 } } as const

test('the logins of an address are one rate over the instances: nothing waits, and each instance may be late by one', async () => {
  const memory = new MemorySite()
  const [a, b] = await startAll(memory, 'a', 'b')
  assert.ok(a && b)
  const ask = async ({ ledger }: Instance): Promise<boolean> => {
    const ifKnown = { counts: [], rates: [], network: '', user: '' }
    const answer = ledger.askLogin({ rates: [RATE], ifKnown, attempt: undefined })
    assert.ok(!(answer instanceof Promise))
    await settled()
    return answer.overrun === undefined
  }
  const told: boolean[] = []
  for (const at of [a, b, a, b, a, b, a, b]) told.push(await ask(at))
  assert.deepEqual(told, [true, true, true, true, true, false, false, false])
  let accepted = 5
  for (let second = 0; second < 600; second++) {
    memory.nowMs += 1000
    memory.beat('a', 'b')
    await later(memory, 0, a, b)
    for (const at of [a, b]) accepted += Number(await ask(at))
  }
  // 4 at once, one each 15 seconds, and one too many for each instance.
  assert.ok(accepted >= 44 && accepted <= 46, `${accepted} logins`)
})

test('accepted logins of a user are one rate over the instances, exactly', async () => {
  const memory = new MemorySite()
  const [a, b] = await startAll(memory, 'a', 'b')
  assert.ok(a && b)
  const rates = [
    { limit: 'user_login_rate', key: 'user_login_rate imap alice', rate: { count: 4, perMs: 60_000 } },
  ] as const
  const answers = await Promise.all(
    [a, b, a, b, a, b].map(async ({ ledger }) => ledger.takeSession({ counts: [], rates, known: undefined })),
  )
  assert.equal(answers.filter((taken) => taken === undefined).length, 4)
  assert.deepEqual(answers[5], { limit: 'user_login_rate', max: 4, perMs: 60_000, waitMs: 15_000 })
})

test('an answer that has come while this process was busy counts', async () => {
  const memory = new MemorySite()
  memory.beat('a', 'b')
  const nowMs = (): number => memory.nowMs
  const local = createLocalLedger(nowMs)
  const inner = memory.storeOf('a')
  // As an answer of Redis, that of the file system is handled after the timers that are due.
  const answered = (): Promise<void> => new Promise((resolve) => stat('.', () => resolve()))
  const asked = Promise.withResolvers<undefined>()
  const store: SiteStore = {
    ...inner,
    async take(claims, live) {
      asked.resolve(undefined)
      await answered()
      return inner.take(claims, live)
    },
  }
  const site = createSiteCounts({ id: 'a', store, local, onChange: () => undefined, nowMs })
  await site.tick()
  const taking = createSharedLedger(local, () => site).takeSession({ ...claim(5), known: undefined })
  await asked.promise
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
  assert.equal(await taking, undefined)
  assert.deepEqual([site.isShared(), memory.fields(KEY)], [true, { a: 1 }])
})

test('a login that the old store has not answered leaves no count in the store that replaces it', async () => {
  const [before, after] = [new MemorySite(), new MemorySite()]
  before.beat('a', 'b')
  after.beat('a')
  const local = createLocalLedger(() => before.nowMs)
  const open = (store: SiteStore): SiteCounts =>
    createSiteCounts({ id: 'a', store, local, onChange: () => undefined, nowMs: () => before.nowMs })
  const closed = Promise.withResolvers<never>()
  let takes = 0
  const closing: SiteStore = {
    ...before.storeOf('a'),
    take: (claims, live) => (takes++ === 0 ? before.storeOf('a').take(claims, live) : closed.promise),
  }
  let current = open(closing)
  const ledger = createSharedLedger(local, () => current)
  await current.tick()
  assert.equal(await ledger.takeSession({ ...claim(2), known: undefined }), undefined)
  const second = ledger.takeSession({ ...claim(2), known: undefined })
  await settled()
  current = open(after.storeOf('a'))
  await current.tick()
  closed.reject(new Error('closed'))
  assert.deepEqual(await second, { limit: 'sessions_per_user', max: 1 }, 'its part of the limit is full')
  await settled()
  assert.deepEqual(after.fields(KEY), { a: 1 })
})

test('nothing of what an instance holds stays in a store that it leaves', async () => {
  const memory = new MemorySite()
  const [a, b] = await startAll(memory, 'a', 'b')
  assert.ok(a && b)
  assert.equal(await countAccepted([logIn(a, 3), logIn(a, 3), logIn(b, 3)]), 3)
  await a.site.leave()
  assert.deepEqual([a.site.isShared(), memory.fields(KEY)], [false, { b: 1 }])
  a.ledger.release([KEY])
  await later(memory, 1000, b)
  assert.deepEqual(memory.fields(KEY), { b: 1 })
  memory.hangs = true
  await b.site.leave()
})
