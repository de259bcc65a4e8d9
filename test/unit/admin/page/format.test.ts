/** Numbers and times on the status page. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  daysLeft,
  formatBytes,
  formatDuration,
  formatLatency,
  formatMany,
  formatRate,
  printable,
} from '../../../../src/admin/page/format.js'

test('shows bytes with a unit that fits', () => {
  const shown = [null, 0, 999, 1000, 1530, 999_499, 999_500, 25_000_000, 7e12].map(formatBytes)
  assert.deepEqual(shown, ['–', '0 B', '999 B', '1.0 kB', '1.5 kB', '999 kB', '1.0 MB', '25 MB', '7.0 TB'])
})

test('shows durations in the two largest units', () => {
  const shown = [-5, 0, 59.9, 60, 3599, 3600, 3660, 90_061, 8 * 86_400].map(formatDuration)
  assert.deepEqual(shown, ['0 s', '0 s', '59 s', '1 min', '59 min 59 s', '1 h', '1 h 1 min', '1 d 1 h', '8 d'])
})

test('shows rates and latencies', () => {
  assert.deepEqual([undefined, 0, 0.04, 0.25, 9.94, 1234.4].map(formatRate), ['–', '0', '< 0.1', '0.3', '9.9', '1,234'])
  assert.deepEqual([null, 1.24, 48.6, 2500].map(formatLatency), ['–', '1.2 ms', '49 ms', '2.5 s'])
  assert.deepEqual([formatMany(1, 'session'), formatMany(0, 'address', 'addresses')], ['1 session', '0 addresses'])
})

test('counts whole days, and an expired certificate has fewer than none', () => {
  const day = 86_400_000
  assert.deepEqual([daysLeft(3 * day, 0), daysLeft(day - 1, 0), daysLeft(-1, 0)], [3, 0, -1])
})

test('shows characters that act on the reader as escapes, and leaves markup as it is', () => {
  assert.equal(printable('a\u202eb\u0000\\\u2028'), 'a\\u{202e}b\\u{0}\\\\\\u{2028}')
  assert.equal(printable('<img onerror=x> jürgen 名'), '<img onerror=x> jürgen 名')
})
