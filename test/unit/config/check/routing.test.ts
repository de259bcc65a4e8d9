import { MAIN, testCases, withListener, type Case } from '../cases.ts'

function withBackend(keys: string): string {
  return `backends:\n  s: {${keys}}\nusers: {a@b.test: s}\n`
}

/** Each guard fires here, and the honest neighbour of each bad case passes without a word. */
const CASES: Case[] = [
  {
    it: 'a user at an unknown back end',
    routing: 'backends: {store: {host: h, imap: 1}}\nusers: {a@b: stoer}',
    error: /^routing\.yaml:2:14: unknown back end "stoer" \(did you mean "store"\?\)/u,
  },
  {
    it: 'a user at a back end that every object has',
    routing: 'backends: {store: {host: h, imap: 1}}\nusers: {a@b: constructor}',
    error: /unknown back end/u,
  },
  {
    it: 'a domain at an unknown back end',
    routing: 'backends: {store: {host: h, imap: 1}}\ndomains: {b.test: {backend: other}}',
    error: /^routing\.yaml:2:29: unknown back end "other"$/u,
  },
  {
    it: 'a user at a back end with mistakes of its own',
    routing: 'backends: {store: {host: h, imap: 0}}\nusers: {a@b: store}',
    error: /not a port/u,
  },
  {
    it: 'a back end without a port',
    routing: withBackend('host: h'),
    error: /^routing\.yaml:2:3: serves nothing/u,
    warning: /no back end has a port for imap/u,
  },
  {
    it: 'a back end without the port that a listener needs',
    routing: withBackend('host: h, pop3: 110'),
    warning: /^mailmux\.yaml:3:28: no back end has a port for imap/u,
  },
  {
    it: 'back ends of which some lack the port that a listener needs',
    routing:
      'backends: {a: {host: a, imap: 1}, b: {host: b, pop3: 1}, c: {host: c, pop3: 1}, d: {host: d, pop3: 1}, e: {host: e, pop3: 1}}\nusers: {a@b: a}',
    warning:
      /^mailmux\.yaml:3:28: no port for imap at b, c, d and 1 more: users there are refused with a temporary failure$/u,
  },
  {
    it: 'a back end with a bad name',
    routing: "backends: {'a b': {host: h, imap: 1}}\nusers: {a@b: a b}",
    error: /^routing\.yaml:1:12: not a name/u,
  },
  {
    it: 'tls_name without TLS',
    routing: withBackend('host: h, imap: 1, tls_name: x'),
    error: /^routing\.yaml:2:25: tls_name does nothing/u,
  },
  {
    it: 'verify without TLS',
    routing: withBackend('host: h, imap: 1, tls: none, verify: name'),
    error: /verify does nothing/u,
  },
  {
    it: 'ca_file without TLS',
    routing: withBackend('host: h, imap: 1, ca_file: cert.pem'),
    error: /ca_file does nothing/u,
  },
  {
    it: 'tls_name and ca_file with TLS',
    routing: withBackend('host: h, imap: 1, tls: starttls, tls_name: x, ca_file: cert.pem'),
  },
  {
    it: 'ca_file without verification',
    routing: withBackend('host: h, imap: 1, tls: starttls, verify: none, ca_file: cert.pem'),
    error: /ca_file does nothing with verify/u,
    warning: /reads its passwords/u,
  },
  {
    it: 'no verification',
    routing: withBackend('host: h, imap: 1, tls: implicit, verify: none'),
    warning: /^routing\.yaml:2:48: an attacker that diverts/u,
  },
  {
    it: 'a CA that is none',
    routing: withBackend('host: h, imap: 1, tls: implicit, ca_file: key.pem'),
    error: /key\.pem holds no certificate/u,
  },
  {
    it: 'TLS to an address',
    routing: withBackend('host: 10.0.0.1, imap: 1, tls: implicit'),
    error: /^routing\.yaml:2:13: TLS verifies a name: add tls_name/u,
  },
  { it: 'TLS to an address with a name', routing: withBackend('host: 10.0.0.1, imap: 1, tls: implicit, tls_name: h') },
  {
    it: 'TLS to an address without verification',
    routing: withBackend('host: 10.0.0.1, imap: 1, tls: implicit, verify: none'),
    warning: /divert/u,
  },
  {
    it: 'a back end that is ourselves',
    routing: withBackend('host: 127.0.0.1, imap: 143'),
    error: /^routing\.yaml:2:30: routes to itself: listener "imap"/u,
  },
  {
    it: 'a back end that is ourselves by name',
    routing: withBackend('host: localhost, imap: 143'),
    error: /routes to itself/u,
  },
  { it: 'a back end on this machine at another port', routing: withBackend('host: 127.0.0.1, imap: 1143') },
  { it: 'a back end on another machine at the same port', routing: withBackend('host: 10.0.0.1, imap: 143') },
  {
    it: 'a back end on another loopback address',
    main: withListener("listen: '127.0.0.1:143'"),
    routing: withBackend('host: 127.0.0.2, imap: 143'),
  },
  {
    it: 'a weight that is too large',
    routing: withBackend('host: h, imap: 1, weight: 1001'),
    error: /from 0 to 1000/u,
  },
  {
    it: 'a state that no back end has',
    routing: withBackend('host: h, imap: 1, state: paused'),
    error: /^routing\.yaml:\d+:\d+: expected one of up, drain, pause, down/u,
  },
  { it: 'a state', routing: withBackend('host: h, imap: 1, state: drain') },
  {
    it: 'a weight of 1 and no PROXY protocol',
    routing: withBackend('host: h, imap: 1, weight: 1, proxy_protocol: none'),
  },
  { it: 'no placement', routing: `${withBackend('host: h, imap: 1')}placement: none` },
  {
    it: 'a user twice but for the case of the domain',
    routing: 'backends: {s: {host: h, imap: 1}}\nusers:\n  a@b.test: s\n  a@B.test: s',
    error: /^routing\.yaml:4:3: the same as "a@b\.test"/u,
  },
  {
    it: 'a domain twice but for its case',
    routing: 'backends: {s: {host: h, imap: 1}}\ndomains:\n  b.test: s\n  B.test: s',
    error: /^routing\.yaml:4:3: the same as/u,
  },
  {
    it: 'two users that differ in the case of the local part',
    routing: 'backends: {s: {host: h, imap: 1}}\nusers: {a@b: s, A@b: s}',
  },
  {
    it: 'a user without a domain that no listener can produce',
    main: withListener('default_domain: x.test'),
    routing: 'backends: {s: {host: h, imap: 1}}\nusers: {a: s}',
    error: /^routing\.yaml:2:9: never matches/u,
  },
  { it: 'a user without a domain', routing: 'backends: {s: {host: h, imap: 1}}\nusers: {a: s}' },
  {
    it: 'a key that is no user',
    routing: 'backends: {s: {host: h, imap: 1}}\nusers: {a@: s}',
    error: /not a user name/u,
  },
  {
    it: 'two users that differ in case, with user_case: lower',
    main: `${MAIN}user_case: lower\n`,
    routing: 'backends: {s: {host: h, imap: 1}}\nusers: {Alice@b.test: s, alice@b.test: s}',
    error: /^routing\.yaml:2:26: the same as "Alice@b\.test": user_case: lower/u,
  },
  {
    it: 'a user with a capital letter, that no client may type',
    routing: 'backends: {s: {host: h, imap: 1}}\nusers: {Alice@b.test: s}',
    warning: /^routing\.yaml:2:9: matches in this case of letters alone: user_case: lower/u,
  },
  {
    it: 'a user with a capital letter, with user_case: lower',
    main: `${MAIN}user_case: lower\n`,
    routing: 'backends: {s: {host: h, imap: 1}}\nusers: {Alice@b.test: s}',
  },
  {
    it: 'two users whose domains are the two forms of one',
    routing: 'backends: {s: {host: h, imap: 1}}\nusers: {a@xn--bcher-kva.test: s, a@bücher.test: s}',
    error: /the same as "a@xn--bcher-kva\.test": domains ignore case/u,
  },
  {
    it: 'a user in the other form of an alias',
    routing:
      'backends: {s: {host: h, imap: 1}}\nusers: {a@xn--bcher-kva.test: s}\ndomain_aliases: {bücher.test: b.test}',
    error: /never matches: bücher\.test is an alias of b\.test/u,
  },
  {
    it: 'a login that the router would refuse',
    routing: 'backends: {s: {host: h, imap: 1}}\nusers: {a@b.test: {backend: s, login: a*b}}',
    error: /characters that are not allowed/u,
  },
  {
    it: 'a login with a line break',
    routing: 'backends: {s: {host: h, imap: 1}}\nusers: {a@b: {backend: s, login: "x\\r\\ny"}}',
    error: /characters that are not allowed/u,
  },
  { it: 'nobody to log in', routing: 'backends: {s: {host: h, imap: 1}}', warning: /every login is refused/u },
  {
    it: 'nobody but those in Redis',
    main: `${MAIN}directory: {redis: {url: 'redis://h'}}`,
    routing: 'backends: {s: {host: h, imap: 1}}',
  },
]

testCases(CASES)
