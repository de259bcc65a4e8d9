/** The text form of an explanation. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RouteAnswer, LoginTestAnswer } from '../../../src/admin/answers.ts'
import { formatExplanation } from '../../../src/cli/explain-table.ts'

const NOW_MS = 1_000_000
const LOGIN = { user: 'alice', protocol: 'imap', listener: 'imap', tls: 'starttls' } as const

const print = (answer: RouteAnswer & { trial?: LoginTestAnswer }): string =>
  formatExplanation(answer, NOW_MS).join('\n')

test('prints every decision in its order, and the verdict last', () => {
  const answer: RouteAnswer = {
    usable: true,
    login: { ...LOGIN, user: 'alice%alias.test', address: '192.0.2.1', serverName: 'imap.example.test' },
    name: {
      user: 'alice@example.test',
      notes: [
        { what: 'delimiter', delimiter: '%' },
        { what: 'alias', from: 'alias.test', to: 'example.test' },
      ],
    },
    steps: [
      { asked: 'users', key: 'alice@example.test', outcome: 'nothing' },
      { asked: 'memory', key: 'alice@example.test', outcome: 'outdated', detail: 'store1 (too old)', ageMs: 3_700_000 },
      { asked: 'directory', key: 'mailmux:user:alice@example.test', outcome: 'found', detail: 'store2, login a1' },
    ],
    route: { source: 'directory', backend: 'store2', login: 'a1' },
    backend: {
      name: 'store2',
      up: true,
      state: 'up',
      stateFrom: 'routing',
      check: 'greeting',
      addresses: [
        {
          protocol: 'imap',
          host: 'store2.example.test',
          ip: '192.0.2.9',
          port: 993,
          source: 'name',
          state: 'up',
          sinceMs: 0,
          nextCheckMs: NOW_MS,
          lookedUpAgainMs: NOW_MS + 61_000,
        },
        {
          protocol: 'imap',
          host: '192.0.2.10',
          ip: '192.0.2.10',
          port: 993,
          source: 'address',
          state: 'down',
          nextCheckMs: NOW_MS - 5,
          sinceMs: 995_000,
          lastError: 'backend-refused',
        },
      ],
      leg: {
        tls: 'implicit',
        verifies: 'name',
        certificateName: 'store2.example.test',
        trusts: 'ca_file',
        showsCertificate: true,
        proxyHeader: 'v2',
        forwardsIdentity: true,
        master: { user: 'admin', by: 'separator' },
      },
      load: {
        sessions: 120,
        logins: 3,
        waiting: 2,
        limits: { sessions: 5000, logins: 20, loginsPerSecond: 50, waitMs: 10_000, queue: 1000 },
        slowStart: { logins: 5, loginsPerSecond: 12.5 },
      },
    },
  }
  assert.equal(
    print(answer),
    `
login      alice%alias.test  imap at listener imap (tls: starttls), server name imap.example.test, address 192.0.2.1
user       alice@example.test  "%" parts user and domain; alias.test means example.test
asked      routing file  alice@example.test               nothing
           memory        alice@example.test               outdated: store1 (too old), read 1h 1m ago
           directory     mailmux:user:alice@example.test  store2, login a1
route      store2  source: directory, logs in as a1
back end   store2  up (check: greeting)
addresses  1.  192.0.2.9 993 (store2.example.test)  up for 16m 40s, name asked again in 1m 1s
           2.  192.0.2.10 993                       down for 5s: backend-refused, next check in 0ms
limits     sessions 120 of 5000; logins under way 3 of 20; 50 logins a second; waiting 2 of 1000, for up to 10s; slow start: 5 under way, 12.5 a second
way there  TLS (implicit), certificate for store2.example.test by ca_file
           shows a certificate of its own
           PROXY header v2
           sends the client identity by ID, if offered
           master user admin for logins by certificate, by separator

OK: a login goes to store2`.slice(1),
  )
})

test('says in one line why a login does not get through', () => {
  const why = (refusal: RouteAnswer['refusal']) =>
    print({ usable: false, login: LOGIN, steps: [], refusal })
      .split('\n')
      .find((line) => line.startsWith('NOT'))
  assert.equal(
    why({ reason: 'unavailable', code: 'backend-down', detail: 'store1 is down' }),
    'NOT USABLE: unavailable, backend-down: store1 is down',
  )
  assert.equal(why({ reason: 'disabled', detail: 'so it is' }), 'NOT USABLE: disabled: so it is')
  assert.equal(
    why({ code: 'client-no-such-name', detail: 'no rule' }),
    'NOT USABLE: closed without a word, client-no-such-name: no rule',
  )
})

test('says how long a remembered route is good for, and what is wrong with a name', () => {
  const text = print({
    usable: false,
    login: LOGIN,
    name: { notes: [{ what: 'wrong', why: 'it is empty' }] },
    steps: [{ asked: 'memory', key: 'k', outcome: 'found', detail: 'store1', ageMs: 12_000, leftMs: 3_588_000 }],
  })
  assert.match(text, /^user +\(no user name\) {2}it is empty$/m)
  assert.match(text, /store1, read 12s ago, good for 59m 48s$/m)
})

test('says which master user logs in', () => {
  const name = { user: 'alice', notes: [{ what: 'master', master: 'admin' } as const] }
  const text = print({ usable: true, login: LOGIN, name, steps: [] })
  assert.match(text, /^user +alice {2}the master user admin logs in$/m)
})

test('warns loudly of a back end whose certificate is not verified', () => {
  const leg = { tls: 'starttls', verifies: 'nothing', proxyHeader: 'none', forwardsIdentity: false } as const
  const load = { sessions: 0, logins: 0, waiting: 0, limits: { logins: 20, waitMs: 10_000, queue: 9 } }
  const backend = {
    name: 's',
    up: false,
    state: 'up' as const,
    stateFrom: 'routing' as const,
    check: 'none' as const,
    addresses: [],
    leg,
    load,
  }
  const text = print({ usable: true, login: LOGIN, steps: [], backend })
  assert.match(text, /TLS \(starttls\), certificate NOT VERIFIED/)
  assert.match(text, /does not send the client identity/)
  assert.match(text, /none for imap/)
})

test('lets nothing from the directory reach the terminal as more than text', () => {
  const text = print({
    usable: false,
    login: { ...LOGIN, user: '\u001b[2J' },
    steps: [{ asked: 'directory', key: '\u009b', outcome: 'invalid', detail: '\r\u202e' }],
    refusal: { detail: '\u001b]0;x\u0007' },
  })
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
})

test('prints the outcome of the login, and the session id for the log', () => {
  const after = (trial: LoginTestAnswer) =>
    print({ usable: true, login: LOGIN, steps: [], trial })
      .split('\n')
      .find((line) => line.startsWith('LOGIN '))
  const common = { session: 'try-1', phase: 'replaying-login', backend: 'store1', ms: 1234 }
  assert.equal(
    after({ ...common, accepted: true, ip: '192.0.2.9', port: 993, tls: 'TLSv1.3' }),
    'LOGIN ACCEPTED by store1 at 192.0.2.9 993, TLSv1.3 (1s; in the log as try-1)',
  )
  assert.equal(
    after({ ...common, accepted: false, reason: 'unavailable', code: 'backend-closed', detail: 'hung\u001b up' }),
    'LOGIN REFUSED while replaying-login at store1: unavailable, backend-closed: hung\u{fffd} up (1s; in the log as try-1)',
  )
})

test('prints beside the verdict which workers decide otherwise', () => {
  const answer: RouteAnswer = {
    usable: true,
    login: LOGIN,
    steps: [],
    route: { source: 'stale', backend: 'store2' },
    otherWorkers: [
      {
        worker: 2,
        usable: false,
        refusal: { reason: 'unavailable', code: 'directory-unavailable', detail: 'Redis: \u001b[2J' },
      },
    ],
  }
  assert.deepEqual(print(answer).split('\n').slice(-3, -1), [
    'OK: a login goes to store2',
    'Worker 2 decides otherwise: NOT USABLE: unavailable, directory-unavailable: Redis: \ufffd[2J',
  ])
})
