import { MAIN, testCases, withListener, type Case } from '../cases.ts'

/** Implicit TLS and a client CA, as EXTERNAL needs them. */
const CA = 'client_ca_file: cert.pem'

/** A back end that lets users with a certificate in. */
const MASTER = 'backends: {s: {host: h, imap: 143, master: {user: m, password_file: secret}}}\nusers: {a@b.test: s}\n'

const MECHANISMS: Case[] = [
  { it: 'some mechanisms', main: withListener('mechanisms: [PLAIN, XOAUTH2, OAUTHBEARER, LOGIN]') },
  { it: 'SCRAM', main: withListener('mechanisms: [SCRAM-SHA-1, SCRAM-SHA-256]') },
  { it: 'no mechanism', main: withListener('mechanisms: []'), error: /^mailmux\.yaml:2:43: at least one mechanism/u },
  {
    it: 'an unknown mechanism',
    main: withListener('mechanisms: [PLAIN, SCRAM-SHA1]'),
    error: /^mailmux\.yaml:2:51: expected one of .* \(did you mean "SCRAM-SHA-1"\?\)/u,
  },
  {
    it: 'a mechanism twice',
    main: withListener('mechanisms: [PLAIN, LOGIN, PLAIN]'),
    error: /^mailmux\.yaml:2:58: PLAIN stands here twice/u,
  },
  {
    it: 'EXTERNAL without a client CA',
    main: withListener('mechanisms: [EXTERNAL]'),
    error: /^mailmux\.yaml:2:44: EXTERNAL needs client_ca_file/u,
  },
  {
    it: 'EXTERNAL without a user',
    main: withListener(`mechanisms: [EXTERNAL], ${CA}`),
    error: /^mailmux\.yaml:2:44: EXTERNAL needs client_cert_user/u,
  },
  {
    it: 'EXTERNAL with a client CA and a user',
    main: withListener(`mechanisms: [EXTERNAL], ${CA}, client_cert_user: '%{email}'`),
    routing: MASTER,
    others: { secret: 'x' },
  },
  {
    it: 'a user of certificates where EXTERNAL is left out',
    main: withListener(`mechanisms: [PLAIN], ${CA}, client_cert_user: '%{email}'`),
    routing: MASTER,
    others: { secret: 'x' },
    error: /^mailmux\.yaml:2:78: does nothing: mechanisms leaves EXTERNAL out/u,
  },
]

const CLIENT_TLS: Case[] = [
  { it: 'a client CA that only admits', main: withListener(CA) },
  {
    it: 'a client CA that is none',
    main: withListener('client_ca_file: key.pem'),
    error: /^mailmux\.yaml:2:47: key\.pem holds no certificate/u,
  },
  {
    it: 'a user of certificates without a client CA',
    main: withListener("client_cert_user: '%{cn}'"),
    error: /^mailmux\.yaml:2:31: needs client_ca_file/u,
  },
  {
    it: 'a user of certificates without a placeholder',
    main: withListener(`${CA}, client_cert_user: alice`),
    error: /:75: needs %\{cn\} or %\{email\}/u,
  },
  {
    it: 'a user of certificates whom no back end lets in',
    main: withListener(`${CA}, client_cert_user: '%{cn}@a.test'`),
    warning: /^mailmux\.yaml:2:75: no back end for imap has a master user/u,
  },
  ...['%{cn}', 'x-%{cn}'].flatMap((template): Case[] => [
    {
      it: `default domains by server name with client_cert_user: ${template}`,
      main: withListener(`${CA}, client_cert_user: '${template}', default_domains: {imap.b.test: b.test}`),
      error: /default_domains complete no name of a certificate/u,
    },
    {
      it: `a default domain with client_cert_user: ${template}`,
      main: withListener(`${CA}, client_cert_user: '${template}', default_domain: a.test`),
      routing: MASTER,
      others: { secret: 'x' },
      warning: /default_domain completes no name of a certificate/u,
    },
  ]),
  ...['%{cn}@a.test', '%{email}', '%{cn}/%{email}'].map((template): Case => ({
    it: `default domains by server name with client_cert_user: ${template}`,
    main: withListener(
      `${CA}, client_cert_user: '${template}', default_domain: a.test, default_domains: {imap.b.test: b.test}`,
    ),
    routing: MASTER,
    others: { secret: 'x' },
  })),
  {
    it: 'a user of certificates with a master user',
    main: withListener(`${CA}, client_cert_user: '%{cn}@a.test'`),
    routing: MASTER,
    others: { secret: 'x' },
  },
  ...['min_version: TLSv1.3', 'ciphers: HIGH', CA, `${CA}, client_cert_user: "%{cn}"`].map((keys): Case => {
    const it = keys.replaceAll(/:[^,]+/gu, '')
    return {
      it: `${it} without TLS`,
      main: withListener(`tls: none, allow_plaintext_auth: true, ${keys}`, ''),
      error: /^mailmux\.yaml:2:70: does nothing with tls: none/u,
    }
  }),
  { it: 'a least TLS version of its own', main: withListener('min_version: TLSv1.3') },
  {
    it: 'an old TLS version',
    main: withListener('min_version: TLSv1.1'),
    error: /expected one of TLSv1\.2, TLSv1\.3/u,
  },
  { it: 'ciphers', main: withListener("ciphers: 'ECDHE+AESGCM:!aNULL'") },
  {
    it: 'ciphers that OpenSSL does not know',
    main: withListener('ciphers: HIGH:ECDHE-FOO'),
    error: /^mailmux\.yaml:2:40: OpenSSL knows no cipher "ECDHE-FOO"/u,
  },
  {
    it: 'ciphers of TLS 1.2 where it is not spoken',
    main: withListener('ciphers: HIGH, min_version: TLSv1.3'),
    error: /^mailmux\.yaml:2:31: does nothing with min_version: TLSv1\.3/u,
  },
  {
    it: 'ciphers of TLS 1.2 where it is spoken nowhere',
    main: withListener('ciphers: HIGH', 'tls: {certificates: [{cert: cert.pem, key: key.pem}], min_version: TLSv1.3}'),
    error: /^mailmux\.yaml:2:31: does nothing with min_version/u,
  },
  {
    it: 'ciphers of TLS 1.2 where it is spoken here alone',
    main: withListener(
      'ciphers: HIGH, min_version: TLSv1.2',
      'tls: {certificates: [{cert: cert.pem, key: key.pem}], min_version: TLSv1.3}',
    ),
  },
]

const CAPABILITY: Case[] = [
  { it: 'capabilities of its own', main: withListener('imap_capability: IMAP4rev1 IDLE UTF8=ACCEPT') },
  {
    it: 'capabilities that mailmux adds itself',
    main: withListener('imap_capability: IMAP4rev1 AUTH=PLAIN'),
    error: /^mailmux\.yaml:2:48: AUTH=PLAIN is added by mailmux itself/u,
  },
  {
    it: 'capabilities for POP3',
    main: MAIN.replace('protocol: imap', 'protocol: pop3, imap_capability: IMAP4rev1'),
    error: /^mailmux\.yaml:3:34: does nothing here: it is of IMAP alone/u,
  },
]

const PROXIES: Case[] = [
  {
    it: 'the PROXY protocol without a trusted proxy',
    main: withListener('proxy_protocol: required'),
    error: /^mailmux\.yaml:2:47: needs trusted_proxies/u,
  },
  {
    it: 'the PROXY protocol from one proxy',
    main: withListener(
      "proxy_protocol: required, trusted_proxies: ['192.0.2.1', '10.0.0.0/8', '2001:db8::/32', '::1']",
    ),
  },
  {
    it: 'a proxy that is no address',
    main: withListener('proxy_protocol: required, trusted_proxies: [10.0.0.0/8, haproxy]'),
    error: /^mailmux\.yaml:2:87: not an address or network/u,
  },
  {
    it: 'every address as a proxy',
    main: withListener("proxy_protocol: required, trusted_proxies: ['::/0']"),
    warning: /^mailmux\.yaml:2:75: every host may connect here/u,
  },
]

/** Two back ends that separate the name of their master users in different ways. */
const TWO_MASTERS = `backends:
  s: {host: h, imap: 143, master: {user: m, password_file: secret, separator: '*'}}
  t: {host: i, imap: 143, master: {user: m, password_file: secret, separator: '%'}}
users: {a@b.test: s}
`
const AUTH_HTTP = 'directory: {auth_http: {url: "http://127.0.0.1/", send_password: true}}'

const NAMES: Case[] = [
  { it: 'a master separator', main: withListener("master_separator: '*', delimiters: '@%'") },
  { it: 'delimiters of names that are sent as they are typed', main: withListener(`delimiters: '@\\ '`) },
  {
    it: 'a master separator that a user name may have',
    main: withListener("master_separator: '+'"),
    error: /^mailmux\.yaml:2:49: one character that no user name has/u,
  },
  {
    it: 'a master separator that is a delimiter',
    main: withListener("master_separator: '%', delimiters: '@%'"),
    error: /^mailmux\.yaml:2:49: parts user from domain already/u,
  },
  {
    it: 'a master separator where the directory checks passwords',
    main: withListener("allow_plaintext_auth: true, tls: none, master_separator: '*'", AUTH_HTTP),
    routing: 'backends: {s: {host: 127.0.0.1, imap: 143}}\n',
    error: /^mailmux\.yaml:2:\d+: does nothing with directory\.auth_http\.send_password/u,
  },
  {
    it: 'a master separator of which a back end has another',
    main: withListener("master_separator: '*'"),
    routing: TWO_MASTERS,
    others: { secret: 'x' },
    warning: /^mailmux\.yaml:2:49: back end t has another: its master\.separator is "%"/u,
  },
  { it: 'other delimiters', main: withListener('delimiters: "@%+"') },
  { it: 'delimiters without @', main: withListener('delimiters: "%"'), error: /^mailmux\.yaml:2:43: @ must be among/u },
  {
    it: 'default domains by address and by name',
    main: withListener("default_domains: {192.0.2.1: a.test, '2001:db8::1': c.test, Imap.b.test: b.test}"),
  },
  {
    it: 'an address with a zone as a key of default_domains',
    main: withListener("default_domains: {'fe80::1%eth0': a.test}"),
    error: /write the address without its zone: fe80::1/u,
  },
  {
    it: 'a link-local address in default_domains where the listener has it with its zone',
    main: withListener("listen: ['[fe80::1%eth0]:143'], default_domains: {'fe80::1': a.test}"),
  },
  {
    it: 'a default domain that is none',
    main: withListener('default_domains: {192.0.2.1: a..test}'),
    error: /^mailmux\.yaml:2:60: not a domain/u,
  },
  {
    it: 'a default domain for what is no name',
    main: withListener('default_domains: {"*.b.test": b.test}'),
    error: /^mailmux\.yaml:2:49: not an address and not a server name/u,
  },
  {
    it: 'a default domain for one name in two spellings',
    main: withListener('default_domains: {b.test: b.test, B.test: c.test}'),
    error: /^mailmux\.yaml:2:65: the same as "b\.test"/u,
  },
  {
    it: 'a default domain for an address where the listener is not',
    main: withListener("listen: ['192.0.2.1:143'], default_domains: {192.0.2.2: a.test}"),
    error: /^mailmux\.yaml:2:76: never matches: this listener is not at that address/u,
  },
  {
    it: 'a default domain for an address of the other family',
    main: withListener("listen: ['0.0.0.0:143'], default_domains: {'::1': a.test}"),
    error: /never matches/u,
  },
  {
    it: 'a default domain for an address where the listener is',
    main: withListener("listen: ['192.0.2.1:143', '[::]:143'], default_domains: {192.0.2.1: a.test, '::1': b.test}"),
  },
  {
    it: 'a default domain for the address that a PROXY header gives',
    main: withListener(
      "listen: '192.0.2.1:143', default_domains: {192.0.2.2: a.test, n.test: a.test}, proxy_protocol: required, trusted_proxies: [192.0.2.0/24]",
    ),
  },
  {
    it: 'a default domain for a server name without TLS',
    main: withListener('tls: none, allow_plaintext_auth: true, default_domains: {n.test: a.test}', ''),
    error: /^mailmux\.yaml:2:88: never matches: without TLS/u,
  },
]

const TICKETS: Case[] = [
  {
    it: 'a ticket secret',
    main: withListener(
      'listen: 1',
      'tls: {certificates: [{cert: cert.pem, key: key.pem}], ticket_secret_file: tickets}',
    ),
    others: { tickets: `${'x'.repeat(32)}\n` },
  },
  {
    it: 'a ticket secret that is too short',
    main: withListener(
      'listen: 1',
      'tls: {certificates: [{cert: cert.pem, key: key.pem}], ticket_secret_file: tickets}',
    ),
    others: { tickets: `${'x'.repeat(31)}\n` },
    error: /^mailmux\.yaml:3:75: tickets holds fewer than 32 octets/u,
  },
  {
    it: 'a ticket secret that does not exist',
    main: withListener(
      'listen: 1',
      'tls: {certificates: [{cert: cert.pem, key: key.pem}], ticket_secret_file: tickets}',
    ),
    error: /tickets does not exist/u,
  },
  { it: 'a failure delay', main: `${MAIN}limits: {failure_delay: 10s}` },
  { it: 'a long failure delay', main: `${MAIN}limits: {failure_delay: 11s}`, error: /must lie between 0s and 10s/u },
]

testCases([...MECHANISMS, ...CLIENT_TLS, ...CAPABILITY, ...PROXIES, ...NAMES, ...TICKETS])
