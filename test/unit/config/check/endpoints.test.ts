import { testCases, type Case } from '../cases.ts'

function withBackend(keys: string, more = ''): string {
  return `backends:\n  s: {${keys}}\nusers: {a@b.test: s}\n${more}`
}

const LOGIN = 'check: login, user: probe, password_file: probe.secret'
const others = { 'probe.secret': 'p' }

/** Each guard fires here, and the honest neighbour of each bad case passes without a word. */
const CASES: Case[] = [
  { it: 'several hosts', routing: withBackend('host: [10.0.0.1, store.example, "2001:db8::1"], imap: 1') },
  { it: 'no hosts', routing: withBackend('host: [], imap: 1'), error: /^routing\.yaml:2:13: at least one host/u },
  {
    it: 'too many hosts',
    routing: withBackend(`host: [${Array.from({ length: 9 }, (_, i) => `h${i}`).join(', ')}], imap: 1`),
    error: /at most 8 hosts/u,
  },
  {
    it: 'one host twice, in two spellings',
    routing: withBackend('host: ["::1", "0:0::1"], imap: 1'),
    error: /^routing\.yaml:2:21: ::1 stands here already/u,
  },
  {
    it: 'a host that is none among others',
    routing: withBackend('host: [a, "b:143"], imap: 1'),
    error: /^routing\.yaml:2:17: write the host alone/u,
  },
  { it: 'neither host nor srv', routing: withBackend('imap: 1'), error: /^routing\.yaml:2:3: is nowhere/u },
  { it: 'a host without a port', routing: withBackend('host: h'), error: /^routing\.yaml:2:3: serves nothing/u },
  {
    it: 'one of several hosts that is a listener of our own',
    routing: withBackend('host: [10.0.0.1, 127.0.0.1], imap: 143'),
    error: /^routing\.yaml:2:24: routes to itself/u,
  },

  { it: 'SRV records of a domain', routing: withBackend('srv: example.org') },
  { it: 'SRV records by name', routing: withBackend('srv: {imap: _imap._tcp.example.org}') },
  {
    it: 'SRV records of a domain that is none',
    routing: withBackend('srv: _imap._tcp.example.org'),
    error: /^routing\.yaml:2:12: write the domain alone/u,
  },
  { it: 'SRV records of an address', routing: withBackend('srv: 10.0.0.1'), error: /not a domain/u },
  {
    it: 'SRV records by a name that is none',
    routing: withBackend('srv: {imap: imap.example.org}'),
    error: /^routing\.yaml:2:19: not the name of SRV records/u,
  },
  { it: 'SRV records of nothing', routing: withBackend('srv: {}'), error: /^routing\.yaml:2:7: serves nothing/u },
  { it: 'a host beside srv', routing: withBackend('srv: a.test, host: h'), error: /host does nothing beside srv/u },
  { it: 'a port beside srv', routing: withBackend('srv: a.test, pop3: 1'), error: /pop3 does nothing beside srv/u },
  {
    it: 'TLS by srv without the name to verify',
    routing: withBackend('srv: a.test, tls: implicit'),
    error: /^routing\.yaml:2:12: TLS verifies a name/u,
  },
  { it: 'TLS by srv with it', routing: withBackend('srv: a.test, tls: implicit, tls_name: mail.a.test') },
  {
    it: 'TLS by srv that verifies nothing else than a pin',
    routing: withBackend(`srv: a.test, tls: starttls, verify: none, pin_sha256: [${'ab'.repeat(32)}]`),
  },
  {
    it: 'an address among names, with TLS and no name for it',
    routing: withBackend('host: [a.test, 10.0.0.1], imap: 1, tls: implicit'),
    error: /^routing\.yaml:2:22: TLS verifies a name/u,
  },
  { it: 'names, each verified by itself', routing: withBackend('host: [a.test, b.test], imap: 1, tls: implicit') },
  {
    it: 'a listener whose protocol srv does not serve',
    routing: withBackend('srv: {pop3: _pop3._tcp.a.test}'),
    warning: /no back end has a port for imap/u,
  },

  {
    it: 'each setting of health',
    routing: withBackend('host: h, imap: 1, health: {check: tcp, interval: 1s, timeout: 1s, rise: 1, fall: 1}'),
  },
  { it: 'a check by login', routing: withBackend(`host: h, imap: 1, health: {${LOGIN}}`), others },
  {
    it: 'a check by login without its password',
    routing: withBackend('host: h, imap: 1, health: {check: login, user: u}'),
    error: /^routing\.yaml:2:41: check: login needs password_file/u,
  },
  {
    it: 'a user for no login',
    routing: withBackend('host: h, imap: 1, health: {user: u}'),
    error: /^routing\.yaml:2:34: user does nothing without check: login/u,
  },
  {
    it: 'a password file of the check that does not exist',
    routing: withBackend(`host: h, imap: 1, health: {${LOGIN}}`),
    error: /probe\.secret does not exist/u,
  },
  {
    it: 'a handshake where TLS does not come first',
    routing: withBackend('host: h, imap: 1, tls: starttls, health: {check: tls}'),
    error: /a handshake alone/u,
  },
  { it: 'a handshake', routing: withBackend('host: h, imap: 1, tls: implicit, health: {check: tls}') },
  {
    it: 'an interval of no checks',
    routing: withBackend('host: h, imap: 1, health: {check: none, interval: 3s}'),
    error: /interval does nothing with check: none/u,
  },
  { it: 'no checks', routing: withBackend('host: h, imap: 1, health: {check: none, fall: 5}') },

  { it: 'name servers', routing: withBackend('host: h, imap: 1', 'resolvers: ["127.0.0.1:53", "[::1]:5353"]\n') },
  {
    it: 'a name server by its name',
    routing: withBackend('host: h, imap: 1', 'resolvers: ["ns.example.org:53"]\n'),
    error: /^routing\.yaml:4:13: a name server is given by its address/u,
  },
]

testCases(CASES)
