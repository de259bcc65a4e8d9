import { testCases, withListener, type Case } from '../cases.ts'

const ROUTING = `backends:
  store1: {host: h, imap: 993, tls: implicit}
  clear: {host: h, imap: 143}
  pop: {host: h, pop3: 995, tls: implicit}
users: {a@b.test: store1}
`

/** A listener that passes everything through, with these keys beside. */
function passing(rules: string, keys = ''): string {
  return withListener(`tls: passthrough, passthrough: ${rules}${keys}`, '')
}

/** Each guard fires here, and the honest neighbour of each bad case passes without a word. */
const CASES: Case[] = [
  {
    it: 'exact, wildcard and every other name',
    main: passing('{imap.a.test: store1, "*.b.test": store1, "*": store1}'),
  },
  {
    it: 'passthrough without rules',
    main: withListener('tls: passthrough', ''),
    error: /^mailmux\.yaml:2:36: tls: passthrough needs rules/u,
  },
  {
    it: 'passthrough with empty rules',
    main: passing('{}'),
    error: /^mailmux\.yaml:2:49: tls: passthrough needs rules/u,
  },
  {
    it: 'passthrough beside a certificate that nobody uses',
    main: withListener('tls: passthrough, passthrough: {"*": store1}'),
    error: /^mailmux\.yaml:3:1: does nothing: no listener has/u,
  },
  {
    it: 'passthrough of some names beside TLS of its own',
    main: withListener('tls: implicit, passthrough: {a.test: store1}'),
    warning: /no port for imap at pop: users there are refused with a temporary failure$/u,
  },
  {
    it: 'passthrough of every name beside TLS of its own',
    main: withListener('tls: implicit, passthrough: {a.test: store1, "*": store1}'),
    error: /^mailmux\.yaml:2:76: leaves nothing to be decrypted here: say so with tls: passthrough/u,
  },
  {
    it: 'passthrough with STARTTLS',
    main: withListener('tls: starttls, passthrough: {a.test: store1}'),
    error: /^mailmux\.yaml:2:46: does nothing with tls: starttls/u,
  },
  {
    it: 'passthrough without TLS',
    main: withListener('tls: none, allow_plaintext_auth: true, passthrough: {a.test: store1}', ''),
    error: /does nothing with tls: none/u,
  },
  {
    it: 'a rule for what is no server name',
    main: passing('{a_b..test: store1}'),
    error: /^mailmux\.yaml:2:63: not a server name/u,
  },
  {
    it: 'a rule for an address',
    main: passing('{192.0.2.1: store1}'),
    error: /an address never comes as a server name/u,
  },
  { it: 'a wildcard in the middle', main: passing('{a.*.test: store1}'), error: /a wildcard is \*\.example\.org/u },
  {
    it: 'one name in two spellings',
    main: passing('{a.test: store1, A.test: store1}'),
    error: /^mailmux\.yaml:2:79: the same as "a\.test"/u,
  },
  {
    it: 'a rule to an unknown back end',
    main: passing('{a.test: stor1}'),
    error: /^mailmux\.yaml:2:71: unknown back end "stor1" \(did you mean "store1"\?\)/u,
  },
  {
    it: 'a rule to a back end without the port',
    main: passing('{a.test: pop}'),
    error: /^mailmux\.yaml:2:71: back end "pop" has no port for imap/u,
  },
  {
    it: 'a rule to a back end without TLS',
    main: passing('{a.test: clear}'),
    error: /^mailmux\.yaml:2:71: the client's TLS ends at back end "clear", which has tls: none/u,
  },
  {
    it: 'a rule to a back end with STARTTLS',
    main: passing('{a.test: s}'),
    routing: 'backends: {s: {host: h, imap: 143, tls: starttls}}\nusers: {a@b.test: s}',
    error: /which has tls: starttls/u,
  },
  {
    it: 'the PROXY protocol on a listener that passes through',
    main: passing('{"*": store1}', ', proxy_protocol: required, trusted_proxies: [10.0.0.0/8]'),
  },
  ...[
    'banner: hi',
    'allow_plaintext_auth: false',
    'mechanisms: [PLAIN]',
    'imap_capability: IMAP4rev1',
    'min_version: TLSv1.2',
    'ciphers: HIGH',
    'client_ca_file: cert.pem',
    "client_cert_user: '%{cn}'",
    'default_domain: a.test',
    'default_domains: {a.test: a.test}',
    'delimiters: "@"',
    'master_separator: "*"',
  ].map((key): Case => {
    return {
      it: `${key.replace(/:.*/u, '')} on a listener that passes through`,
      main: passing('{"*": store1}', `, ${key}`),
      error: /^mailmux\.yaml:2:77: does nothing with tls: passthrough: nothing is decrypted/u,
    }
  }),
  {
    it: 'a user without a domain where only a listener that passes through has no default domain',
    main: `${withListener('tls: passthrough, passthrough: {"*": store1}', '')}  - {name: b, protocol: imap, default_domain: a.test}\ntls: {certificates: [{cert: cert.pem, key: key.pem}]}\n`,
    routing: ROUTING.replace('a@b.test', 'a'),
    error: /^routing\.yaml:5:9: never matches: every listener appends/u,
  },
  {
    it: 'no users where all is passed through',
    main: passing('{"*": store1}'),
    routing: ROUTING.replace(/users.*/u, ''),
  },
]

testCases(CASES.map((one) => ({ routing: ROUTING, ...one })))
