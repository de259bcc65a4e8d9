/** The next step after each end of an explanation. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendAnswer, LoginTestAnswer, RouteAnswer } from '../../../src/admin/answers.ts'
import { nextStep } from '../../../src/cli/explain-next.ts'

const LOGIN = { user: 'alice', protocol: 'imap', listener: 'imap', tls: 'starttls' } as const
const DOMAINS = ['example.test', 'example.org', 'mail.test']
const REDIS = { domains: DOMAINS, hasRedis: true }
const FILE = { domains: DOMAINS, hasRedis: false }

type Parts = Partial<RouteAnswer & { trial: LoginTestAnswer }>
const answerOf = (parts: Parts) => ({ usable: false, login: LOGIN, steps: [], ...parts })

const unknown = (user: string | undefined, steps: RouteAnswer['steps'] = NOTHING): Parts => ({
  name: { ...(user !== undefined && { user }), notes: [] },
  steps,
  refusal: { reason: 'authentication-failed', detail: 'no route for this user' },
})
const NOTHING: RouteAnswer['steps'] = [{ asked: 'domains', key: 'a.test', outcome: 'nothing' }]

function at(state: BackendAnswer['state'], stateFrom: BackendAnswer['stateFrom'], lastError?: string): BackendAnswer {
  const address = { protocol: 'imap', host: 'h', ip: '192.0.2.9', port: 143, source: 'address', sinceMs: 0 } as const
  return {
    name: 'store1',
    up: false,
    state,
    stateFrom,
    check: 'greeting',
    addresses: [{ ...address, state: 'down', ...(lastError !== undefined && { lastError }) }],
    leg: { tls: 'none', proxyHeader: 'none', forwardsIdentity: false },
    load: { sessions: 0, logins: 0, waiting: 0, limits: { logins: 20, waitMs: 10_000, queue: 9 } },
  }
}
const refused = (reason: string, code: string): Parts => ({
  name: { user: 'alice@example.test', notes: [] },
  refusal: { reason, code, detail: 'd' },
})
const tried = (parts: Partial<LoginTestAnswer>): Parts => ({
  usable: true,
  trial: { accepted: false, session: 's', phase: 'replaying-login', backend: 'store1', ms: 1, ...parts },
})

const CASES: [what: string, parts: Parts, expected: RegExp | undefined, known?: typeof REDIS][] = [
  ['a login that gets through', { usable: true }, undefined],
  [
    'a user without a route',
    unknown('dan@a.test'),
    /^mailmux route set dan@a\.test BACKEND with Redis, else a line under/,
  ],
  [
    'the same with Redis',
    unknown('dan@a.test'),
    /^mailmux route set dan@a\.test BACKEND; for all users of the domain: a line for a\.test under `domains`/,
    REDIS,
  ],
  ['the same without Redis', unknown('dan@a.test'), /^a line under `users` of the routing file; for all/, FILE],
  [
    'a domain that is known',
    unknown('dan@example.org'),
    /^mailmux route set dan@example\.org BACKEND; /,
    { ...REDIS, domains: ['example.org'] },
  ],
  [
    'a mistyped domain',
    unknown('dan@exmaple.test'),
    /^is the domain mistyped\? exmaple\.test has no route; similar: example\.test$/,
    REDIS,
  ],
  [
    'a name without a domain',
    unknown('dan', []),
    /^give the name with its domain, or set `default_domain`.* mailmux route set dan BACKEND$/,
    REDIS,
  ],
  ['a name that no user can have', unknown(undefined, []), /^correct the name/],
  [
    'a name that a shell would take apart',
    unknown("a b'c@a.test"),
    /^mailmux route set 'a b'\\''c@a\.test' BACKEND/,
    REDIS,
  ],
  [
    'a refusal of the auth server',
    unknown('dan@a.test', [{ asked: 'directory', key: 'k', outcome: 'found' }]),
    /log of the auth server/,
  ],
  ['a disabled user', refused('disabled', 'disabled'), /^mailmux route set alice@example\.test --status active$/],
  ['a hold', refused('unavailable', 'user-on-hold'), /^`mailmux route get alice@example\.test` shows the hold/],
  [
    'a route to no back end',
    refused('misconfigured', 'route-invalid'),
    /`mailmux route set alice@example\.test BACKEND` replaces it$/,
  ],
  ['a directory that is away', refused('unavailable', 'directory-unavailable'), /^`mailmux check --probe` tests Redis/],
  [
    'a state of the directory',
    { ...refused('unavailable', 'backend-down'), backend: at('down', 'directory') },
    /^mailmux backend up store1$/,
  ],
  [
    'a state of the routing file',
    { ...refused('unavailable', 'backend-paused'), backend: at('pause', 'routing') },
    /^set `state: up` of store1 in the routing file$/,
  ],
  [
    'an address that refuses',
    { ...refused('unavailable', 'backend-down'), backend: at('up', 'routing', 'backend-refused') },
    /^start the mail server/,
  ],
  [
    'a wrong certificate',
    { ...refused('misconfigured', 'backend-certificate'), backend: at('up', 'routing', 'backend-certificate') },
    /^renew the certificate/,
  ],
  [
    'a missing port',
    { ...refused('misconfigured', 'backend-no-port'), backend: at('up', 'routing') },
    /^add the port of the protocol/,
  ],
  [
    'a server name without a rule',
    { refusal: { code: 'client-no-such-name', detail: 'd' } },
    /^add the server name.*--sni/,
  ],
  [
    'a wrong password',
    tried({ reason: 'authentication-failed' }),
    /^the way is open: set the password of the user at store1/,
  ],
  [
    'a login at a back end that closes',
    tried({ reason: 'unavailable', code: 'backend-closed' }),
    /^read the mail server's log/,
  ],
  ['an accepted login', tried({ accepted: true }), undefined],
  [
    'another worker that refuses',
    {
      usable: true,
      otherWorkers: [{ worker: 2, usable: false, refusal: { code: 'directory-unavailable', detail: 'd' } }],
    },
    /^`mailmux check --probe`/,
  ],
]

for (const [what, parts, expected, known] of CASES)
  test(`tells the next step after ${what}`, () => {
    const next = nextStep(answerOf(parts), known)
    if (expected) assert.match(next ?? '', expected)
    else assert.equal(next, undefined)
  })
