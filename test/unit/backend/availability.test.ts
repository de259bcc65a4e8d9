/** When a back end is lost and when it is back, with two addresses: what the log says, and who is told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint } from '../../../src/backend/endpoint/endpoint.ts'
import type { LiveBackend } from '../../../src/backend/live-backend.ts'
import type { ErrorCode } from '../../../src/errors.ts'
import { backendSettings, isCode, liveWorld } from './fixture.ts'

const TWO = backendSettings({ name: 'a', hosts: ['192.0.2.1', '192.0.2.2'], ports: { imap: 143 } })

const ANSWERED = { by: 'login', proof: 'login' } as const

function makeDown(live: LiveBackend, endpoint: Endpoint, code: ErrorCode = 'backend-refused'): void {
  for (let check = 0; check < 3; check++)
    live.failed(endpoint, { by: 'check', code, client: undefined }, 'nobody there')
}

function open() {
  const world = liveWorld(TWO)
  const live = world.live.get('a')
  assert.ok(live)
  const [first, second] = live.addresses('imap')
  assert.ok(first && second)
  const up = (endpoint: Endpoint): void => {
    for (let check = 0; check < 3; check++) live.succeeded(endpoint, ANSWERED)
  }
  return { ...world, a: live, first, second, up }
}

test('is lost with its last address, and back with the first one, for the time that no address was up', () => {
  const { a, first, second, up, clock, lost, recovered, awayMs } = open()
  makeDown(a, first)
  assert.deepEqual(lost, [])
  clock.ms += 60_000
  makeDown(a, second)
  assert.deepEqual(lost, ['a imap'])
  clock.ms += 5000
  up(first)
  assert.deepEqual([recovered, awayMs], [['a'], [5000]])
  clock.ms += 1000
  up(second)
  assert.deepEqual([lost, recovered], [['a imap'], ['a']])
})

test('logs which address is down, how many others are up, and for how long it was down', () => {
  const { a, first, up, clock, lines } = open()
  makeDown(a, first)
  clock.ms += 1500.4
  up(first)
  const fields = { backend: 'a', protocol: 'imap', address: '192.0.2.1:143', host: '192.0.2.1' }
  assert.deepEqual(
    lines.map(({ level: _, ...line }) => line),
    [
      { ...fields, code: 'backend-refused', detail: 'nobody there', othersUp: 1, message: 'back end down' },
      { ...fields, downMs: 1500, message: 'back end up' },
    ],
  )
})

test('logs a wrong setting of a back end once, and that it is right again', () => {
  for (const code of [
    'backend-certificate',
    'backend-no-starttls',
    'backend-test-user',
    'backend-bytes-before-tls',
  ] as const) {
    const { a, first, up, lines } = open()
    makeDown(a, first, code)
    assert.equal(first.health.up, true, 'it is alive')
    up(first)
    assert.deepEqual(
      lines.map((line) => [line.message, (line as { code?: unknown }).code]),
      [
        ['back end misconfigured', code],
        ['back end no longer misconfigured', code],
      ],
    )
  }
})

test('one login tries a back end that is down, though logins have gone there while it was up', async () => {
  const { a, first, second } = open()
  ;(await a.enter('imap', 'ann', 1000)).leave()
  makeDown(a, first)
  makeDown(a, second)
  const trial = await a.enter('imap', 'ann', 1000)
  await assert.rejects(async () => a.enter('imap', 'ben', 1000), isCode('backend-down'))
  trial.leave()
  ;(await a.enter('imap', 'ben', 1000)).leave()
})

test('a login from before the loss that leaves does not end the trial of another', async () => {
  const { a, first, second } = open()
  const before = await a.enter('imap', 'ann', 1000)
  makeDown(a, first)
  makeDown(a, second)
  const trial = await a.enter('imap', 'ben', 1000)
  before.leave()
  await assert.rejects(async () => a.enter('imap', 'cid', 1000), isCode('backend-down'))
  trial.leave()
})

test('looks soon at an address that a login has failed at, and at none that a check has failed at', () => {
  for (const [by, isSoon] of [
    ['login', true],
    ['check', false],
  ] as const) {
    const { a, first, clock } = open()
    first.checkDueMs = clock.ms + 60_000
    a.failed(first, { by, code: 'backend-refused', client: undefined }, 'nobody there')
    assert.equal(first.checkDueMs, clock.ms + (isSoon ? 1000 : 60_000))
  }
})

test('counts the answer to a login alone as a proof that logins work', () => {
  const { a, first, clock } = open()
  a.succeeded(first, { by: 'check', proof: 'login' })
  assert.equal(first.provenMs, -Infinity)
  a.succeeded(first, ANSWERED)
  assert.equal(first.provenMs, clock.ms)
})
