/** The list of sessions: the oldest first, what is asked for, and no more than is wanted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reportSessions } from '../../../src/session/session-report.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

type Running = Parameters<typeof reportSessions>[0] extends Iterable<infer T> ? T : never

function running(id: string, bornMs: number, changes: Partial<Running> = {}): Running {
  return {
    id,
    bornMs,
    client: { address: '192.0.2.7', port: 4711 },
    listener: listenerSettings({ name: 'imaps' }),
    phase: 'relaying',
    user: 'alice@example.test',
    backend: 'store1',
    tlsVersion: 'TLSv1.3',
    isHealthCheck: false,
    ...changes,
  }
}

const ALL = { limit: 10 }

test('tells of a session what is known of it', () => {
  const early = running('b', 2000, { phase: 'login', user: undefined, backend: undefined, tlsVersion: undefined })
  assert.deepEqual(reportSessions([running('a', 500), early], ALL, 3250), {
    sessions: [
      {
        id: 'a',
        client: '192.0.2.7',
        listener: 'imaps',
        protocol: 'imap',
        phase: 'relaying',
        user: 'alice@example.test',
        backend: 'store1',
        tls: 'TLSv1.3',
        ageSeconds: 2.75,
      },
      { id: 'b', client: '192.0.2.7', listener: 'imaps', protocol: 'imap', phase: 'login', ageSeconds: 1.25 },
    ],
    total: 2,
  })
})

test('finds those of a user or a back end, and counts all of them where not all are listed', () => {
  const all = [
    running('a', 1),
    running('b', 2, { user: 'bob@example.test' }),
    running('c', 3, { backend: 'store2' }),
    running('d', 4),
    running('probe', 5, { isHealthCheck: true }),
  ]
  const ids = (filter: Parameters<typeof reportSessions>[1]) => {
    const { sessions, total } = reportSessions(all, filter, 10)
    return [sessions.map(({ id }) => id).join(''), total]
  }
  assert.deepEqual(ids(ALL), ['abcd', 4])
  assert.deepEqual(ids({ ...ALL, user: 'alice@example.test' }), ['acd', 3])
  assert.deepEqual(ids({ ...ALL, backend: 'store1' }), ['abd', 3])
  assert.deepEqual(ids({ user: 'alice@example.test', backend: 'store1', limit: 1 }), ['a', 2])
  assert.deepEqual(ids({ limit: 0 }), ['', 4])
})
