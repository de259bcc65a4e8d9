/** `mailmux sessions` against an admin port that answers as scripted: the table, what is asked, and the exit codes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EndedAnswer, SessionsAnswer } from '../../../src/admin/answers.ts'
import { endSessions, formatSessions, listSessions, rebalance } from '../../../src/cli/sessions.ts'
import { openAdminPort, TOKEN } from './admin-port.ts'

const SESSION = {
  id: 'a-1',
  client: '192.0.2.7',
  listener: 'imaps',
  protocol: 'imap',
  phase: 'relaying',
  user: 'alice@example.test',
  backend: 'store1',
  ageSeconds: 3725.4,
  idleSeconds: 42,
} as const
const EARLY = {
  id: 'a-2',
  client: '2001:db8::7',
  listener: 'pop3',
  protocol: 'pop3',
  phase: 'tls',
  ageSeconds: 0.3,
} as const

test('shows a table with the users, and the phase of a session before login', () => {
  assert.deepEqual(
    formatSessions({
      sessions: [
        { ...SESSION, worker: 1 },
        { ...EARLY, worker: 2 },
      ],
      total: 2,
    }),
    [
      'USER                PROTOCOL  BACKEND  CLIENT       LISTENER  AGE    IDLE   WORKER',
      'alice@example.test  imap      store1   192.0.2.7    imaps     1h 2m  42s    1',
      '-                   pop3      -        2001:db8::7  pop3      0ms    (tls)  2',
      '2 sessions',
    ],
  )
})

test('shows no workers where there is one, no table without a session, and how many are not listed', () => {
  assert.deepEqual(formatSessions({ sessions: [SESSION], total: 1 }), [
    'USER                PROTOCOL  BACKEND  CLIENT     LISTENER  AGE    IDLE',
    'alice@example.test  imap      store1   192.0.2.7  imaps     1h 2m  42s',
    '1 session',
  ])
  assert.deepEqual(formatSessions({ sessions: [], total: 0 }), ['0 sessions'])
  assert.equal(formatSessions({ sessions: [SESSION], total: 12 }).at(-1), '12 sessions; the 1 oldest are listed')
})

test('lists the sessions that every filter matches, and ends with 0', async (t) => {
  const answer: SessionsAnswer = { sessions: [SESSION], total: 1 }
  const { config, terminal, asked, tokens, out, errors } = await openAdminPort(t, 200, answer)
  const filter = { user: 'alice@example.test', backend: 'store1', client: '192.0.2.0/24', listener: 'imaps' }
  assert.equal(await listSessions({ config, ...filter }, terminal), 0)
  assert.deepEqual(asked, [
    'GET /api/v1/sessions?user=alice%40example.test&backend=store1&client=192.0.2.0%2F24&listener=imaps&limit=10000',
  ])
  assert.equal(out.at(-1), '1 session')
  out.length = 0
  assert.equal(await listSessions({ config, json: true }, terminal), 0)
  assert.deepEqual(JSON.parse(out.join('\n')), answer)
  assert.deepEqual([errors, [...tokens]], [[], [`Bearer ${TOKEN}`]])
})

test('names the workers that did not answer, and ends with 1', async (t) => {
  const { config, terminal, out, errors } = await openAdminPort(t, 200, { sessions: [], total: 0, incomplete: [2, 3] })
  assert.equal(await listSessions({ config }, terminal), 1)
  assert.deepEqual(out, ['0 sessions'])
  assert.deepEqual(errors, [
    'mailmux sessions: worker 2 did not answer: its sessions are missing in the list',
    'mailmux sessions: worker 3 did not answer: its sessions are missing in the list',
  ])
})

test('ends sessions, and says how many at which worker', async (t) => {
  const answer: EndedAnswer = {
    ended: 3,
    workers: [
      { worker: 1, ended: 3 },
      { worker: 3, ended: 0 },
    ],
    incomplete: [2],
  }
  const { config, terminal, asked, out, errors } = await openAdminPort(t, 200, answer)
  assert.equal(await endSessions({ config, client: '2001:db8::/32' }, terminal), 1)
  assert.equal(await endSessions({ config, all: true, now: true }, terminal), 1)
  assert.deepEqual(asked, [
    'DELETE /api/v1/sessions?client=2001%3Adb8%3A%3A%2F32&all=false&now=false',
    'DELETE /api/v1/sessions?all=true&now=true',
  ])
  assert.deepEqual(out, [
    '3 sessions end at a safe point (worker 1: 3, worker 3: 0)',
    '3 sessions end now (worker 1: 3, worker 3: 0)',
  ])
  const missing = 'mailmux sessions end: worker 2 did not answer: it may end its sessions later: ask again to be sure'
  assert.deepEqual(errors, [missing, missing])
})

test('ends one session at the only worker, and ends with 0', async (t) => {
  const { config, terminal, out } = await openAdminPort(t, 200, { ended: 1 })
  assert.equal(await endSessions({ config, user: 'alice' }, terminal), 0)
  assert.deepEqual(out, ['1 session ends at a safe point'])
})

test('asks nothing without a filter, or with a filter beside --all, and ends with 2', async (t) => {
  const { config, terminal, asked, errors } = await openAdminPort(t, 200, { ended: 1 })
  assert.equal(await endSessions({ config }, terminal), 2)
  assert.equal(await endSessions({ config, now: true }, terminal), 2)
  assert.equal(await endSessions({ config, user: 'alice', all: true }, terminal), 2)
  assert.deepEqual(asked, [])
  const which = 'mailmux sessions end: which sessions? Say --user, --backend, --client or --listener, or --all'
  assert.deepEqual(errors, [which, which, 'mailmux sessions end: --all goes with no filter'])
})

test('repeats why mailmux refuses, and ends with 2', async (t) => {
  const { config, terminal, errors } = await openAdminPort(t, 400, { error: 'there is no back end store9' })
  assert.equal(await listSessions({ config, backend: 'store9' }, terminal), 2)
  assert.equal(await endSessions({ config, backend: 'store9' }, terminal), 2)
  assert.deepEqual(errors, [
    'mailmux sessions: mailmux refuses to answer: there is no back end store9',
    'mailmux sessions end: mailmux refuses to answer: there is no back end store9',
  ])
})

test('names the instances and their workers that did not answer, and ends with 1', async (t) => {
  const [one, two] = ['mail1/0123456789ab', 'mail2/0123456789ab']
  const sessions = [
    { ...SESSION, instance: one },
    { ...EARLY, instance: two },
  ]
  const answer: SessionsAnswer = {
    sessions,
    total: 2,
    instances: [
      { instance: one, total: 1 },
      { instance: two, total: 1, incomplete: [2] },
    ],
    scope: 'all',
    silent: ['mail3/0123456789ab'],
    lost: ['mail4/0123456789ab'],
  }
  const { config, terminal, out, errors } = await openAdminPort(t, 200, answer)
  assert.equal(await listSessions({ config }, terminal), 1)
  assert.deepEqual(out, [
    'USER                PROTOCOL  BACKEND  CLIENT       LISTENER  AGE    IDLE   INSTANCE',
    'alice@example.test  imap      store1   192.0.2.7    imaps     1h 2m  42s    mail1/0123456789ab',
    '-                   pop3      -        2001:db8::7  pop3      0ms    (tls)  mail2/0123456789ab',
    '2 sessions',
  ])
  const missing = 'its sessions are missing in the list'
  assert.deepEqual(errors, [
    `mailmux sessions: worker 2 of mail2/0123456789ab did not answer: ${missing}`,
    `mailmux sessions: mail3/0123456789ab did not answer: ${missing}`,
    `mailmux sessions: mail4/0123456789ab has no heartbeat, and did not stop in order: ${missing}`,
  ])
})

test('names the generation of each session while an older generation has not ended', () => {
  const [one, two] = ['mail1/0123456789ab', 'mail1/ba9876543210']
  const answer: SessionsAnswer = {
    sessions: [
      { ...SESSION, instance: one },
      { ...EARLY, instance: two },
    ],
    total: 2,
    instances: [
      { instance: one, total: 1, generation: 1 },
      { instance: two, total: 1, generation: 2 },
    ],
    scope: 'all',
  }
  assert.deepEqual(formatSessions(answer), [
    'USER                PROTOCOL  BACKEND  CLIENT       LISTENER  AGE    IDLE   INSTANCE            GENERATION',
    'alice@example.test  imap      store1   192.0.2.7    imaps     1h 2m  42s    mail1/0123456789ab  1',
    '-                   pop3      -        2001:db8::7  pop3      0ms    (tls)  mail1/ba9876543210  2',
    '2 sessions',
  ])
})

test('says clearly that no session matches, and ends with 0', async (t) => {
  const { config, terminal, out, errors } = await openAdminPort(t, 200, {
    ended: 0,
    instances: [
      { instance: 'mail1/0123456789ab', ended: 0 },
      { instance: 'mail2/0123456789ab', ended: 0 },
    ],
  })
  assert.equal(await endSessions({ config, user: 'alice' }, terminal), 0)
  assert.deepEqual([out, errors], [['0 sessions end'], []])
})

test('says how many sessions end at which instance, and that others may be missing', async (t) => {
  const answer: EndedAnswer = {
    ended: 3,
    instances: [
      { instance: 'mail1/0123456789ab', ended: 1 },
      { instance: 'mail2/0123456789ab', ended: 2, workers: [{ worker: 1, ended: 2 }] },
    ],
    scope: 'partial',
    why: 'Redis: NOPERM',
  }
  const { config, terminal, out, errors } = await openAdminPort(t, 200, answer)
  assert.equal(await endSessions({ config, user: 'alice' }, terminal), 1)
  assert.deepEqual(out, [
    '3 sessions end at a safe point (mail1/0123456789ab: 1, mail2/0123456789ab: 2, of which worker 1: 2)',
  ])
  assert.deepEqual(errors, ['mailmux sessions end: other instances may be missing: Redis: NOPERM'])
})

test('says that only this instance is asked, and why', async (t) => {
  const covers = { scope: 'instance', why: 'the directory is not Redis' }
  const { config, terminal, out } = await openAdminPort(t, 200, {
    ended: 1,
    workers: [{ worker: 1, ended: 1 }],
    ...covers,
  })
  assert.equal(await endSessions({ config, user: 'alice' }, terminal), 0)
  const only = 'only this instance is asked: the directory is not Redis'
  assert.deepEqual(out, [`1 session ends at a safe point (worker 1: 1); ${only}`])
  assert.deepEqual(formatSessions({ sessions: [], total: 0, scope: 'instance', why: covers.why }), [
    `0 sessions; ${only}`,
  ])
})

test('rebalances a share of all sessions, or of those that the filters match', async (t) => {
  const answer: EndedAnswer = { ended: 412, workers: [] }
  const { config, terminal, asked, out, errors } = await openAdminPort(t, 200, answer)
  assert.equal(await rebalance({ config, share: '20%', over: '10m' }, terminal), 0)
  assert.equal(await rebalance({ config, share: '5%', listener: 'imaps' }, terminal), 0)
  assert.deepEqual(asked, [
    'DELETE /api/v1/sessions?share=20%25&over=10m&all=true',
    'DELETE /api/v1/sessions?listener=imaps&share=5%25&all=false',
  ])
  assert.deepEqual([out, errors], [['412 sessions end over 10m', '412 sessions end gradually'], []])
})
