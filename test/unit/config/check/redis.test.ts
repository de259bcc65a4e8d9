/** The keys of `directory.redis`: which of them go together, and what is in the files that they name. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAIN, testCases, type Case } from '../cases.ts'
import { findRestartNeeds } from '../../../../src/config/changes.ts'
import { mustReplace } from '../../../../src/directory/replaceable.ts'
import type { RedisSettings } from '../../../../src/config/settings.ts'
import { certificate, loadSettings } from '../fixture.ts'

/** On line 6, the keys from column 21 on. */
function withRedis(keys: string): string {
  return `${MAIN}directory: {redis: {${keys}}}\n`
}

const URL_ = "url: 'redis://h'"
const TLS_URL = "url: 'rediss://h'"
const SENTINELS = "sentinels: {name: m, addresses: ['s:26379']}"
const NODES = "nodes: ['n:6379']"
const others = { pw: 'hunter2\n', 'other.pem': certificate('other')['key.pem'] }

/** Each guard fires here, and the honest neighbour of each bad case passes without a word. */
const CASES: Case[] = [
  {
    it: 'a Redis whose password is in a variable that is not set',
    main: `${MAIN}directory: {redis: {url: 'redis://:\${PW}@h'}}`,
    error: /:36: the environment variable PW is not set/u,
  },
  {
    it: 'a Redis with two passwords',
    main: `${MAIN}directory: {redis: {url: 'redis://:x@h', password_file: key.pem}}`,
    error: /does nothing: the url has a password/u,
  },
  { it: 'a file for known routes', main: withRedis(`${URL_}, snapshot_file: routes`) },
  {
    it: 'a file for known routes that nobody may use',
    main: withRedis(`${URL_}, max_stale: 0s, snapshot_file: routes`),
    error: /^mailmux\.yaml:6:54: does nothing with max_stale: 0s/u,
  },
  {
    it: 'a file for known routes where there is no directory',
    main: withRedis(`${URL_}, snapshot_file: absent/routes`),
    error: /^mailmux\.yaml:6:54: the directory absent does not exist/u,
  },
  {
    it: 'a directory for known routes',
    main: withRedis(`${URL_}, snapshot_file: '.'`),
    error: /: is a directory/u,
  },
  ...['mailmux.yaml', 'routing.yaml', 'key.pem', './cert.pem'].map((file) => ({
    it: `known routes written over ${file}`,
    main: withRedis(`${URL_}, snapshot_file: ${file}`),
    error: /^mailmux\.yaml:6:54: is a file of the configuration, which would be written over/u,
  })),
  { it: 'Sentinels', main: withRedis(SENTINELS) },
  { it: 'a Cluster', main: withRedis(NODES) },
  {
    it: 'no Redis at all',
    main: withRedis('prefix: x'),
    error: /^mailmux\.yaml:6:13: names no Redis: it needs url, sentinels or nodes/u,
  },
  {
    it: 'Sentinels beside a url',
    main: withRedis(`${URL_}, ${SENTINELS}`),
    error: /^mailmux\.yaml:6:39: does nothing beside url: there can be one of url, sentinels and nodes/u,
  },
  {
    it: 'nodes beside Sentinels',
    main: withRedis(`${SENTINELS}, ${NODES}`),
    error: /:67: does nothing beside sentinels/u,
  },
  {
    it: 'Sentinels without the name of the master',
    main: withRedis("sentinels: {addresses: ['s:1']}"),
    error: /missing key "name"/u,
  },
  {
    it: 'no Sentinel',
    main: withRedis('sentinels: {name: m, addresses: []}'),
    error: /at least one Sentinel is needed/u,
  },
  { it: 'no node', main: withRedis('nodes: []'), error: /at least one node is needed/u },
  { it: 'a node without a port', main: withRedis('nodes: [n]'), error: /:29: not a host with a port/u },
  { it: 'a node as a number', main: withRedis('nodes: [6379]'), error: /:29: not a host with a port/u },
  { it: 'one node twice', main: withRedis("nodes: ['n:1', 'm:1', 'N:1']"), error: /:43: stands here twice/u },
  { it: 'two nodes of one host', main: withRedis("nodes: ['n:1', 'n:2']") },
  {
    it: 'one Sentinel twice',
    main: withRedis("sentinels: {name: m, addresses: ['s:1', 's:1']}"),
    error: /stands here twice/u,
  },

  { it: 'a user with a password for a Cluster', main: withRedis(`${NODES}, username: u, password_file: pw`), others },
  { it: 'a user with a password in the url', main: withRedis("url: 'redis://:p@h', username: u") },
  {
    it: 'a user without a password',
    main: withRedis(`${NODES}, username: u`),
    error: /:40: a user needs a password: add password_file/u,
  },
  {
    it: 'a user in the url without a password',
    main: withRedis("url: 'redis://u@h'"),
    error: /:26: a user needs a password/u,
  },
  { it: 'a user in the url with a password file', main: withRedis("url: 'redis://u@h', password_file: pw"), others },
  {
    it: 'a user beside one in the url',
    main: withRedis("url: 'redis://u:p@h', username: u"),
    error: /:43: does nothing: the url has a user of its own/u,
  },
  {
    it: 'a user with a space',
    main: withRedis(`${NODES}, username: 'u x', password_file: pw`),
    others,
    error: /characters that are not allowed/u,
  },
  {
    it: 'credentials of the Sentinels',
    main: withRedis("sentinels: {name: m, addresses: ['s:1'], username: u, password_file: pw}"),
    others,
  },
  {
    it: 'a password of the Sentinels alone',
    main: withRedis("sentinels: {name: m, addresses: ['s:1'], password_file: pw}"),
    others,
  },
  {
    it: 'a user of the Sentinels without a password',
    main: withRedis("sentinels: {name: m, addresses: ['s:1'], username: u}"),
    error: /a user needs a password/u,
  },
  {
    it: 'a password of the Sentinels in a file that does not exist',
    main: withRedis("sentinels: {name: m, addresses: ['s:1'], password_file: absent}"),
    error: /absent does not exist/u,
  },

  { it: 'TLS with a CA', main: withRedis(`${TLS_URL}, tls: {ca_file: cert.pem}`) },
  { it: 'TLS with the defaults, for Sentinels', main: withRedis(`${SENTINELS}, tls: {}`) },
  {
    it: 'TLS for a Cluster',
    main: withRedis(`${NODES}, tls: {client_cert: cert.pem, client_key: key.pem, server_name: r.test}`),
  },
  {
    it: 'TLS with redis://',
    main: withRedis(`${URL_}, tls: {}`),
    error: /:39: does nothing with redis:\/\/; write the url as rediss/u,
  },
  { it: 'a CA that is none', main: withRedis(`${NODES}, tls: {ca_file: key.pem}`), error: /holds no certificate/u },
  {
    it: 'a certificate without its key',
    main: withRedis(`${NODES}, tls: {client_cert: cert.pem}`),
    error: /:46: needs client_key beside it/u,
  },
  {
    it: 'a key without its certificate',
    main: withRedis(`${NODES}, tls: {client_key: key.pem}`),
    error: /:46: needs client_cert beside it/u,
  },
  {
    it: 'a certificate with the key of another',
    main: withRedis(`${NODES}, tls: {client_cert: cert.pem, client_key: other.pem}`),
    others,
    error: /this key does not match the certificate/u,
  },
  {
    it: 'an address as server name',
    main: withRedis(`${NODES}, tls: {server_name: 10.0.0.1}`),
    error: /a name is needed here, not an address/u,
  },
]

testCases(CASES)

const load = (t: Parameters<typeof loadSettings>[0], keys: string): RedisSettings => {
  const { directory } = loadSettings(t, { main: withRedis(keys), others })
  assert.ok(directory.kind === 'redis')
  return directory
}

test('Sentinels become settings, their own credentials apart from those of Redis', (t) => {
  const keys = "sentinels: {name: m, addresses: ['s:1', '[::1]:2'], username: su, password_file: pw}, tls: {}"
  const { servers, username, password, tls } = load(t, keys)
  assert.ok(servers.kind === 'sentinels')
  const { password: sentinelPassword, ...rest } = servers
  assert.deepEqual(rest, {
    kind: 'sentinels',
    name: 'm',
    addresses: [
      { host: 's', port: 1 },
      { host: '::1', port: 2 },
    ],
    username: 'su',
  })
  assert.equal(sentinelPassword?.reveal(), 'hunter2')
  assert.deepEqual([username, password], [undefined, undefined])
  assert.deepEqual(tls, { ca: undefined, clientCertificate: undefined, serverName: undefined })
})

test('a Cluster becomes settings, with what TLS is to hold it against', (t) => {
  const { servers, username, password, tls } = load(
    t,
    `${NODES}, username: u, password_file: pw, tls: {ca_file: cert.pem, client_cert: cert.pem, client_key: key.pem, server_name: r.test}`,
  )
  assert.deepEqual(servers, { kind: 'cluster', nodes: [{ host: 'n', port: 6379 }] })
  assert.deepEqual([username, password?.reveal(), tls?.serverName], ['u', 'hunter2', 'r.test'])
  assert.equal(tls?.ca, certificate('mail')['cert.pem'])
  assert.equal(tls.clientCertificate?.key.reveal(), certificate('mail')['key.pem'])
})

test('a directory in clear has no TLS, and the user default', (t) => {
  for (const keys of [URL_, SENTINELS, NODES]) {
    const { username, password, tls } = load(t, keys)
    assert.deepEqual([username, password, tls], [undefined, undefined, undefined])
  }
})

test('replaces the directory for any change but of a credential and of the times of the cache', (t) => {
  const settings = (password: string, key: 'mail' | 'other') =>
    loadSettings(t, {
      main: withRedis(
        "sentinels: {name: m, addresses: ['s:1'], password_file: spw}, password_file: pw, tls: {client_cert: c.pem, client_key: k.pem}",
      ),
      others: {
        pw: password,
        spw: password,
        'c.pem': certificate(key)['cert.pem'],
        'k.pem': certificate(key)['key.pem'],
      },
    })
  // Each load has a directory of its own, which the names of files show.
  const before = settings('one', 'mail')
  assert.ok(before.directory.kind === 'redis' && before.directory.servers.kind === 'sentinels')
  assert.ok(!mustReplace(before.directory, before.directory))
  const { directory } = settings('two', 'mail')
  assert.ok(directory.kind === 'redis' && directory.servers.kind === 'sentinels')
  for (const changed of [
    { ...before.directory, password: directory.password },
    { ...before.directory, servers: { ...before.directory.servers, password: directory.servers.password } },
    { ...before.directory, cache: { ...before.directory.cache, maxStaleMs: 1, lifetimeMs: 1, negativeLifetimeMs: 1 } },
    { ...before.directory, snapshotSlot: 2 },
  ])
    assert.ok(!mustReplace(before.directory, changed))
  const { tls } = settings('one', 'other').directory as typeof directory
  // A file of another name has the same role.
  assert.ok(!mustReplace(before.directory, { ...before.directory, tls }))
  for (const changed of [
    { ...before.directory, prefix: 'other:' },
    { ...before.directory, password: undefined },
    { ...before.directory, tls: undefined },
    { ...before.directory, timeoutMs: 1 },
    { ...before.directory, snapshotFile: '/snapshot' },
    { ...before.directory, cache: { ...before.directory.cache, maxEntries: 1 } },
    { kind: 'static' } as const,
  ])
    assert.ok(mustReplace(before.directory, changed), JSON.stringify(changed))
  assert.deepEqual(findRestartNeeds(before, { ...before, directory: { kind: 'static' } }, false), [])
})
