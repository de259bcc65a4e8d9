/** What each of several workers is granted: together what is configured, and nobody nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendLimits, Settings } from '../../../src/config/settings.ts'
import { shareOf } from '../../../src/backend/admission/address-share.ts'
import { settingsOf } from '../../../src/supervisor/share.ts'
import { backendSettings } from '../backend/fixture.ts'

function settings(limits: Partial<BackendLimits>, maxConnections?: number): Settings {
  const backend = backendSettings({ name: 'store1' })
  return {
    limits: { maxConnections },
    directory: { kind: 'static' },
    routing: { backends: new Map([['store1', { ...backend, limits: { ...backend.limits, ...limits } }]]) },
  } as unknown as Settings
}

function shares(workers: number, limits: Partial<BackendLimits>): (BackendLimits | undefined)[] {
  const whole = settings(limits)
  return Array.from({ length: workers }, (_, index) => {
    return settingsOf({ worker: index + 1, workers }, whole).routing.backends.get('store1')?.limits
  })
}

test('parts each limit so that the sum is what is configured', () => {
  const parts = shares(3, { sessions: 10, logins: 4, queue: 9, loginsPerSecond: 5, waitMs: 700 })
  assert.deepEqual(
    parts.map((part) => [part?.sessions, part?.logins, part?.queue, part?.waitMs]),
    [
      [4, 2, 3, 700],
      [3, 1, 3, 700],
      [3, 1, 3, 700],
    ],
  )
  const rate = parts.reduce((sum, part) => sum + (part?.loginsPerSecond ?? 0), 0)
  assert.ok(Math.abs(rate - 5) < 1e-9)
})

test('gives one client address no more of all workers than of one', () => {
  const ofAddress = (workers: number) =>
    shares(workers, { logins: 16 }).reduce(
      (sum, part) => sum + shareOf(part?.logins ?? 0, part?.leastForAddress ?? 0),
      0,
    )
  assert.deepEqual([1, 2, 4].map(ofAddress), [4, 4, 4])
})

test('grants everybody at least one, and no limit where there is none', () => {
  for (const part of shares(4, { sessions: 2, logins: 1, queue: 1, loginsPerSecond: undefined })) {
    assert.deepEqual([part?.sessions, part?.logins, part?.queue, part?.loginsPerSecond], [1, 1, 1, undefined])
  }
  assert.equal(shares(2, { sessions: undefined })[0]?.sessions, undefined)
})

test('leaves the settings of a worker that is alone as they are', () => {
  const whole = settings({})
  assert.equal(settingsOf({ worker: 1, workers: 1 }, whole), whole)
})

test('parts the connections of clients, and no number where none is configured', () => {
  const parts = (maxConnections: number | undefined) =>
    [1, 2, 3].map((worker) => settingsOf({ worker, workers: 3 }, settings({}, maxConnections)).limits.maxConnections)
  assert.deepEqual(parts(1000), [334, 333, 333])
  assert.deepEqual(parts(2), [1, 1, 1])
  assert.deepEqual(parts(undefined), [undefined, undefined, undefined])
})
