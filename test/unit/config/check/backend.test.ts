import { certificate, MAIN } from '../fixture.ts'
import { testCases, type Case } from '../cases.ts'

function withBackend(keys: string): string {
  return `backends:\n  s: {host: h, imap: 1, ${keys}}\nusers: {a@b.test: s}\n`
}

const PIN = 'ab'.repeat(32)
const PAIR = 'client_cert: cert.pem, client_key: key.pem'

/** Each guard fires here, and the honest neighbour of each bad case passes without a word. */
const CASES: Case[] = [
  { it: 'PROXY headers of version 1', routing: withBackend('proxy_protocol: v1') },
  { it: 'PROXY headers of version 2', routing: withBackend('proxy_protocol: v2') },
  {
    it: 'PROXY headers of version 3',
    routing: withBackend('proxy_protocol: v3'),
    error: /expected one of none, v1, v2/u,
  },
  { it: 'pins', routing: withBackend(`tls: starttls, pin_sha256: [${PIN}, "${'AB:'.repeat(31)}AB"]`) },
  {
    it: 'a pin in place of verification',
    routing: withBackend(`tls: implicit, verify: none, pin_sha256: [${PIN}]`),
  },
  {
    it: 'no pin and no verification',
    routing: withBackend('tls: implicit, verify: none, pin_sha256: []'),
    warning: /an attacker that diverts/u,
  },
  {
    it: 'a pin of another length',
    routing: withBackend('tls: implicit, pin_sha256: [abcd]'),
    error: /^routing\.yaml:2:53: not a SHA-256 fingerprint/u,
  },
  {
    it: 'pins without TLS',
    routing: withBackend(`pin_sha256: [${PIN}]`),
    error: /^routing\.yaml:2:25: pin_sha256 does nothing with tls: none/u,
  },
  {
    it: 'TLS from the first byte on the port where ManageSieve begins without it',
    routing: withBackend('managesieve: 4190, tls: implicit'),
    warning:
      /^routing\.yaml:2:38: servers begin without TLS on port 4190, and tls: implicit holds for every port here/u,
  },
  {
    it: 'STARTTLS on the port where POP3 begins with TLS',
    routing: withBackend('pop3: 995, tls: starttls'),
    warning: /^routing\.yaml:2:31: servers begin with TLS on port 995, and tls: starttls holds for every port here/u,
  },
  { it: 'the registered ports without TLS', routing: withBackend('pop3: 110, managesieve: 4190') },
  { it: 'the registered port with TLS from the first byte', routing: withBackend('pop3: 995, tls: implicit') },
  { it: 'a client certificate', routing: withBackend(`tls: implicit, ${PAIR}`) },
  {
    it: 'a client certificate without TLS',
    routing: withBackend(PAIR),
    error: /^routing\.yaml:2:25: client_cert does nothing with tls: none/u,
  },
  {
    it: 'a client certificate without its key',
    routing: withBackend('tls: implicit, client_cert: cert.pem'),
    error: /^routing\.yaml:2:40: needs client_key beside it/u,
  },
  {
    it: 'a key without its client certificate',
    routing: withBackend('tls: implicit, client_key: key.pem'),
    error: /^routing\.yaml:2:40: needs client_cert beside it/u,
  },
  {
    it: 'a client certificate with the key of another',
    routing: withBackend('tls: implicit, client_cert: cert.pem, client_key: other.pem'),
    others: { 'other.pem': certificate('other')['key.pem'] },
    error: /^routing\.yaml:2:75: this key does not match the certificate/u,
  },
  {
    it: 'a client certificate that does not exist',
    routing: withBackend('tls: implicit, client_cert: absent, client_key: key.pem'),
    error: /^routing\.yaml:2:53: absent does not exist/u,
  },
  {
    it: 'limits',
    routing: withBackend('limits: {sessions: 9, logins: 9, logins_per_second: 1, queue_timeout: 19s, queue_size: 1}'),
  },
  { it: 'no limits but the usual', routing: withBackend('limits: {}') },
  { it: 'fewer sessions than the usual number of logins', routing: withBackend('limits: {sessions: 9}') },
  { it: 'no wait', routing: withBackend('limits: {queue_timeout: 0s}, slow_start: 0s') },
  {
    it: 'more logins than sessions',
    routing: withBackend('limits: {sessions: 9, logins: 10}'),
    error: /^routing\.yaml:2:55: never reached: a login counts as one of `sessions`/u,
  },
  {
    it: 'fewer sessions than workers',
    main: `${MAIN}workers: 4\n`,
    routing: withBackend('limits: {sessions: 3}'),
  },
  {
    it: 'fewer logins than workers',
    main: `${MAIN}workers: 4\n`,
    routing: withBackend('limits: {logins: 1, sessions: 4}'),
  },
  {
    it: 'as many of both as workers',
    main: `${MAIN}workers: 4\n`,
    routing: withBackend('limits: {logins: 4, sessions: 4}'),
  },
  {
    it: 'a queue in which nobody waits',
    routing: withBackend('limits: {queue_size: 9, queue_timeout: 0s}'),
    error: /^routing\.yaml:2:34: queue_size does nothing with queue_timeout: 0s/u,
  },
  {
    it: 'a wait that outlasts the login',
    routing: withBackend('limits: {queue_timeout: 20s}'),
    error: /^routing\.yaml:2:49: never lasts so long: limits\.backend_timeout/u,
  },
  {
    it: 'a wait that is longer than usual, with a login that is too',
    main: `${MAIN}limits: {backend_timeout: 40s}\n`,
    routing: withBackend('limits: {queue_timeout: 20s}'),
  },
  {
    it: 'the usual wait with a login that ends sooner',
    main: `${MAIN}limits: {backend_timeout: 5s}\n`,
    routing: withBackend('limits: {sessions: 1}'),
  },
  {
    it: 'no login at all',
    routing: withBackend('limits: {logins: 0}'),
    error: /must be a whole number from 1 to 100000/u,
  },
  { it: 'a back end that is told nothing of the client', routing: withBackend('forward_identity: false') },
  {
    it: 'a word for a truth',
    routing: withBackend('forward_identity: off'),
    error: /^routing\.yaml:2:43: expected true or false/u,
  },
  { it: 'a format of logins', routing: withBackend("login_format: '%n+%d'") },
  {
    it: 'a format of logins without the user',
    routing: withBackend("login_format: '%d'"),
    error: /^routing\.yaml:2:39: needs %u or %n/u,
  },
  {
    it: 'a format of logins with an unknown placeholder',
    routing: withBackend("login_format: '%u%x'"),
    error: /"%x" is no placeholder/u,
  },
  {
    it: 'a master user',
    routing: withBackend('master: {user: proxy, password_file: secret}'),
    others: { secret: 'x\n' },
  },
  {
    it: 'a master user with a separator',
    routing: withBackend("master: {user: proxy, password_file: secret, separator: '*'}"),
    others: { secret: 'x\n' },
  },
  {
    it: 'a master user without a password',
    routing: withBackend('master: {user: proxy}'),
    error: /^routing\.yaml:2:33: missing key "password_file"/u,
  },
  {
    it: 'a master user with an empty password',
    routing: withBackend('master: {user: proxy, password_file: secret}'),
    others: { secret: '\n' },
    error: /^routing\.yaml:2:62: secret is empty/u,
  },
  {
    it: 'a separator of two characters',
    routing: withBackend("master: {user: proxy, password_file: secret, separator: '**'}"),
    others: { secret: 'x' },
    error: /^routing\.yaml:2:81: one character/u,
  },
  {
    it: 'a separator that stands in the name of the master user',
    routing: withBackend("master: {user: 'pro*xy', password_file: secret, separator: '*'}"),
    others: { secret: 'x' },
    error: /^routing\.yaml:2:84: stands in the name of the master user too/u,
  },
]

const ALIASES: Case[] = [
  { it: 'an alias domain', aliases: '{Example.net: Example.com, example.org: example.com}' },
  { it: 'an alias that is no domain', aliases: '{"a b": c.test}', error: /^routing\.yaml:3:18: not a domain/u },
  { it: 'an alias for what is no domain', aliases: '{a.test: c@d}', error: /^routing\.yaml:3:26: not a domain/u },
  { it: 'an alias of itself', aliases: '{a.test: A.test}', error: /^routing\.yaml:3:26: stands for itself/u },
  {
    it: 'an alias of an alias',
    aliases: '{a.test: b.test, B.test: c.test}',
    error: /^routing\.yaml:3:26: b\.test is an alias too/u,
  },
  {
    it: 'one alias in two spellings',
    aliases: '{a.test: b.test, A.test: c.test}',
    error: /^routing\.yaml:3:34: the same as "a\.test"/u,
  },
  {
    it: 'an alias that has a route',
    aliases: '{Routed.test: b.test}',
    error: /^routing\.yaml:3:18: has a route in `domains`/u,
  },
  { it: 'an alias of a domain that has a route', aliases: '{a.test: routed.test}' },
  {
    it: 'a user in an alias domain',
    aliases: '{user.test: b.test}',
    error: /^routing\.yaml:2:9: never matches: user\.test is an alias of b\.test; write b\.test here/u,
  },
].map(({ aliases, ...rest }) => ({
  ...rest,
  routing: `backends: {s: {host: h, imap: 1}}\nusers: {a@User.test: s}\ndomain_aliases: ${aliases}\ndomains: {routed.test: s}\n`,
}))

testCases([...CASES, ...ALIASES])
