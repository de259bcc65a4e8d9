/** The last refused logins, which the status page shows: bounded, for a user or for all, and without a secret. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergeRefusals } from '../../../src/supervisor/merge-refusals.ts'
import { byPassword, openSite, startStore } from '../login/login-fixture.ts'

async function open(t: Parameters<typeof openSite>[0], reply = 'NO [AUTHENTICATIONFAILED] wrong') {
  const port = await startStore(t, (line, say) => say(`${line.split(' ')[0]} ${reply}`))
  const site = openSite(t, port)
  const refuse = async (...users: string[]): Promise<void> => {
    for (const user of users) await site.login(site.connect(), byPassword(user))
  }
  return { refuse, list: site.refusals }
}

test('keeps the newest refusals, and counts all of them by reason', async (t) => {
  const { refuse, list } = await open(t)
  const beganMs = Date.now()
  await refuse('alice', 'bob', 'nobody', 'carol', 'dora')
  const { refusals, counts } = list({ limit: 10 })
  assert.deepEqual(
    refusals.map(({ attempted }) => attempted),
    ['dora', 'carol', 'nobody'],
  )
  assert.equal(
    counts.reduce((sum, { count }) => sum + count, 0),
    5,
  )
  const [last] = refusals
  assert.ok(last && last.atMs >= beganMs - 1000 && last.atMs <= Date.now() + 1000)
  const { atMs: _, detail, ...fields } = last
  assert.match(detail, /wrong/)
  assert.deepEqual(fields, {
    session: 's',
    attempted: 'dora',
    user: 'dora',
    client: '192.0.2.1',
    listener: 'imap',
    protocol: 'imap',
    mechanism: 'PLAIN',
    backend: 'store-1',
    reason: 'authentication-failed',
  })
  assert.equal(list({ limit: 1 }).refusals.length, 1)
})

test('finds those of a user, and of a name as it was attempted in any case', async (t) => {
  const { refuse, list } = await open(t)
  await refuse('alice', 'nobody', 'bob')
  const namesOf = (question: Omit<Parameters<typeof list>[0], 'limit'>) =>
    list({ ...question, limit: 10 }).refusals.map(({ attempted }) => attempted)
  assert.deepEqual(namesOf({ user: 'alice' }), ['alice'])
  assert.deepEqual(namesOf({ attempted: 'NOBODY' }), ['nobody'])
  assert.deepEqual(namesOf({ user: 'alice', attempted: 'bob' }), ['bob', 'alice'])
  assert.deepEqual(namesOf({ user: 'zoe' }), [])
})

test('keeps no accepted login', async (t) => {
  const { refuse, list } = await open(t, 'OK done')
  await refuse('alice')
  assert.deepEqual(list({ limit: 10 }), { refusals: [], counts: [] })
})

test('keeps a bounded, harmless part of names and of the words of a back end, and no password', async (t) => {
  const { refuse, list } = await open(t, `NO [AUTHENTICATIONFAILED] \u202esecret ${'y'.repeat(3000)}`)
  await refuse('x'.repeat(9000), 'jane')
  const told = list({ limit: 10 })
  const text = JSON.stringify(told)
  assert.ok(text.length < 2000, `${text.length}`)
  assert.doesNotMatch(text, /secret|\u202e/)
})

test('merges what the workers tell: the newest of all, and sums', () => {
  const report = (atMs: number) => ({
    atMs,
    session: String(atMs),
    attempted: 'a',
    client: '192.0.2.1',
    listener: 'imap',
    protocol: 'imap' as const,
    mechanism: 'PLAIN',
    detail: '',
  })
  const merged = mergeRefusals(
    [
      { worker: 1, told: { refusals: [report(3), report(1)], counts: [{ code: 'disabled', count: 2 }] } },
      {
        worker: 2,
        told: {
          refusals: [report(2)],
          counts: [
            { code: 'disabled', count: 3 },
            { reason: 'x', count: 9 },
          ],
        },
      },
      { worker: 3, told: undefined },
    ],
    2,
  )
  assert.deepEqual(
    merged.refusals.map(({ atMs }) => atMs),
    [3, 2],
  )
  assert.deepEqual(merged.counts, [
    { reason: 'x', count: 9 },
    { code: 'disabled', count: 5 },
  ])
  assert.deepEqual(merged.incomplete, [3])
})
