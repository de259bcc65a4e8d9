/** Who is near a limit: counts, rates and failures beside the limits in force, nearest first and no more than asked for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatLimits } from '../../../src/cli/limits.ts'
import { createLocalLedger } from '../../../src/limits/local-ledger.ts'
import { createUsageList, limitsInForce } from '../../../src/limits/usage.ts'
import { mergeLimits } from '../../../src/supervisor/limit-questions.ts'
import { clientLimits } from '../listener/listener-settings.ts'

const PENALTY = { after: 3, stepMs: 1000, mostMs: 15_000, halfLifeMs: 600_000 }
const RATE = { count: 4, perMs: 60_000 }

test('reports what is counted beside its limit, and nothing that has no limit any more', () => {
  const ledger = createLocalLedger(() => 0)
  const count = (key: string) => ({ limit: 'sessions_per_user', key, max: 9 }) as const
  ledger.takeConnection({
    counts: [count('sessions_per_user imap alice@x.test'), count('sessions_per_user pop3 alice@x.test')],
    rates: [{ limit: 'login_rate', key: 'login_rate imap 192.0.2.1', rate: RATE }],
  })
  ledger.noteFailure({ network: '192.0.2.9', site: undefined, user: 'bob@x.test', penalty: PENALTY })
  const limits = clientLimits({ sessionsPerUser: 2, loginRate: RATE, penalty: PENALTY })
  const inForce = limitsInForce([
    { name: 'imap', protocol: 'imap', limits: { ...limits, sessionsPerUser: 4 } },
    { name: 'imaps', protocol: 'imap', limits },
  ])
  assert.deepEqual(ledger.usage(inForce, 10), [
    { limit: 'sessions_per_user', of: 'imap', subject: 'alice@x.test', count: 1, most: 2 },
    { limit: 'penalty', of: '', subject: '192.0.2.9', count: 1, most: 3 },
    { limit: 'penalty', of: '', subject: 'bob@x.test', count: 1, most: 3 },
    { limit: 'login_rate', of: 'imap', subject: '192.0.2.1', count: 1, most: 4 },
  ])
  assert.equal(ledger.usage(inForce, 1).length, 1)
})

test('keeps the nearest of many', () => {
  const list = createUsageList(3)
  for (let count = 1; count <= 1000; count++)
    list.add({ limit: 'login_rate', of: 'imap', subject: String(count), count: (count * 7) % 1000, most: 1000 })
  assert.deepEqual(
    list.top().map(({ count }) => count),
    [999, 998, 997],
  )
})

test('adds up shared limits over the instances, and no others; the command shows who is near', () => {
  const row = (limit: string, count: number) => ({ limit, of: 'imap', subject: 'x', count, most: 4 })
  const merged = mergeLimits(
    {
      answers: ['a/1', 'b/2'].map((instance) => ({
        instance,
        answer: { limits: [row('sessions_per_user', 2), row('connections_per_address', 1)] },
      })),
      silent: ['c/3'],
      lost: [],
      scope: 'all',
      incomplete: undefined,
    },
    10,
  )
  assert.deepEqual(
    merged.limits.map(({ limit, count, instances }) => [limit, count, instances?.length]),
    [
      ['sessions_per_user', 4, 2],
      ['connections_per_address', 1, 1],
      ['connections_per_address', 1, 1],
    ],
  )
  assert.deepEqual(merged.silent, ['c/3'])
  assert.deepEqual(formatLimits(merged, false), [
    'LIMIT              OF    SUBJECT  COUNT  MOST  WHERE',
    'sessions_per_user  imap  x        4      4     2 instances',
    '1 is near a limit',
  ])
  assert.equal(
    formatLimits({ ...merged, scope: 'instance', why: 'alone' }, true).at(-1),
    '3 counted; only this instance is asked: alone',
  )
})
