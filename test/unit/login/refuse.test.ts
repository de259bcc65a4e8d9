/** From which failure a refusal follows, and how long the client waits for it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { createHeldBack } from '../../../src/login/held-back.ts'
import type { Login } from '../../../src/login/login.ts'
import { holdRefusal, reasonOf, refusedByError } from '../../../src/login/refuse.ts'
import type { Refused } from '../../../src/protocol/protocol.ts'
import { VirtualClock } from './virtual-clock.ts'

test('refuses for a failure of a back end or the directory, by whether it may pass', () => {
  for (const [code, reason] of [
    ['backend-refused', 'unavailable'],
    ['directory-unavailable', 'unavailable'],
    ['local-shortage', 'unavailable'],
    ['backend-certificate', 'misconfigured'],
    ['no-master', 'misconfigured'],
  ] as const) {
    const error = new MuxError(code, 'why')
    assert.equal(reasonOf(error), reason)
    assert.deepEqual(refusedByError(error), { accepted: false, refusal: { reason }, detail: 'why', code })
  }
})

test('ends the session for a failure of the client or a defect', () => {
  const gone = new MuxError('client-closed', 'gone')
  assert.throws(() => refusedByError(gone), gone)
  assert.throws(() => refusedByError(new TypeError('defect')), { code: 'internal', message: 'defect' })
})

type Play = { refused: Partial<Refused>; dueMs?: number; ageMs?: number; clientMs?: number; user?: string }

async function hold({ refused, dueMs = 2000, ageMs = 0, clientMs = 0, user }: Play) {
  const clock = new VirtualClock()
  const seen: string[] = []
  const pace = {
    observe: (ms: number, address: string) => void seen.push(`took ${ms} of ${address}`),
    dueMs: (leastMs: number, address: string) => (seen.push(`least ${leastMs} of ${address}`), dueMs),
  }
  const login = {
    services: { clock, pace, heldBack: createHeldBack() },
    session: { listener: { name: 'imap' }, connection: { client: { address: '192.0.2.1' } } },
    record: { user },
    world: {
      settings: { limits: { failureDelayMs: 700 } },
      router: { invalidate: (name: string) => void seen.push(`invalidate ${name}`) },
    },
    ageMs,
    clientMs,
  } as unknown as Login
  const refusal = { reason: 'authentication-failed' } as const
  await clock.until(holdRefusal(login, { accepted: false, refusal, detail: '', ...refused }))
  return { waitedMs: clock.ms, seen }
}

const LEAST = 'least 700 of 192.0.2.1'

test('holds a refusal of credentials back until it is due, without the time that has passed', async () => {
  assert.deepEqual(await hold({ refused: {} }), { waitedMs: 2000, seen: [LEAST] })
  assert.deepEqual(await hold({ refused: {}, ageMs: 1500 }), { waitedMs: 500, seen: [LEAST] })
  assert.deepEqual(await hold({ refused: {}, ageMs: 9000 }), { waitedMs: 0, seen: [LEAST] })
})

test('does not count the time of the client as time that has passed', async () => {
  assert.equal((await hold({ refused: {}, ageMs: 61_500, clientMs: 60_000 })).waitedMs, 500)
})

test('waits as long as the directory asks for, where that is longer', async () => {
  assert.equal((await hold({ refused: { waitMs: 3000 } })).waitedMs, 3000)
  assert.equal((await hold({ refused: { waitMs: 1000 } })).waitedMs, 2000)
})

test('notes how long the refusal took, and invalidates the remembered route', async () => {
  const { seen } = await hold({ refused: { tookMs: 40 }, user: 'alice' })
  assert.deepEqual(seen, ['took 40 of 192.0.2.1', 'invalidate alice', LEAST])
})

test('holds no other refusal back, and invalidates no route for it', async () => {
  for (const reason of ['unavailable', 'disabled', 'cancelled'] as const) {
    const refused: Partial<Refused> = { refusal: { reason }, tookMs: 40, waitMs: 3000 }
    assert.deepEqual(await hold({ refused, user: 'alice' }), { waitedMs: 0, seen: [] })
  }
})
