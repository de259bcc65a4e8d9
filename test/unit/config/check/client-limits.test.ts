/** Limits on clients: their values, and what contradicts what. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testCases, withListener } from '../cases.ts'
import { load, loadSettings } from '../fixture.ts'

const TLS = 'tls: {certificates: [{cert: cert.pem, key: key.pem}]}'

function limits(own: string, defaults = '{}'): string {
  return withListener(`limits: ${own}`, `${TLS}\nlimits: ${defaults}`)
}

testCases([
  {
    it: 'limits that fit into each other',
    main: limits(
      '{max_connections: 500, connections_per_address: 50, connections_per_prefix: 200, connection_rate: 60/1m, login_rate: 10/10s, user_login_rate: 100/1h, sessions_per_user: 50, sessions_per_domain: 50, sessions_per_backend_user: 50, exempt: [10.0.0.0/8], penalty: {after: 0, most: 30s}}',
      '{max_connections: 1000}',
    ),
  },
  { it: 'an equal limit', main: limits('{max_connections: 50, connections_per_address: 50}') },
  {
    it: 'a limit per address above the one of the listener',
    main: limits('{max_connections: 20, connections_per_address: 50}'),
    error: /^mailmux\.yaml:2:86: is never reached: max_connections is 20$/,
  },
  {
    it: 'a limit per address above the one per prefix, which is a default',
    main: limits('{connections_per_address: 50}', '{connections_per_prefix: 20}'),
    error: /^mailmux\.yaml:2:\d+: is never reached: connections_per_prefix is 20$/,
  },
  {
    it: 'a default per address above the limit of all listeners',
    main: limits('{}', '{max_connections: 20, connections_per_address: 50}'),
    error: /^mailmux\.yaml:4:56: is never reached: max_connections is 20$/,
  },
  {
    it: 'a limit of a listener above the one of all listeners',
    main: limits('{max_connections: 2000}', '{max_connections: 1000}'),
    error: /^mailmux\.yaml:2:\d+: is never reached: limits\.max_connections is 1000$/,
  },
  {
    it: 'a limit per user above the one of all listeners',
    main: limits('{sessions_per_user: 2000}', '{max_connections: 1000}'),
    error: /^mailmux\.yaml:2:\d+: is never reached: limits\.max_connections is 1000$/,
  },
  {
    it: 'a limit per user above the one per domain',
    main: limits('{sessions_per_user: 50, sessions_per_domain: 49}'),
    error: /is never reached: sessions_per_domain is 49$/,
  },
  ...['60', '60/m', '60/1', '0/1m', '60/500ms', '60/48h', 'fast', '1.5/1s', '-1/1s'].map((rate) => ({
    it: `the rate "${rate}"`,
    main: limits(`{login_rate: "${rate}"}`),
    error: /^mailmux\.yaml:2:\d+: (not a rate: write it as 60\/1m|the (number|time) must lie between)/,
  })),
  { it: 'a limit of zero', main: limits('{sessions_per_user: 0}'), error: /must be a whole number from 1 to 1000000/ },
  {
    it: 'a step of the penalty above the longest',
    main: limits('{penalty: {step: 10s, most: 5s}}'),
    error: /^mailmux\.yaml:2:56: is more than most/,
  },
  {
    it: 'limits on logins where no login is seen',
    main: `listeners:
  - {name: a, protocol: imap, listen: 9993, tls: passthrough, passthrough: {"*": store1}, limits: {connections_per_address: 5, login_rate: 9/1s}}
`,
    routing: 'backends: {store1: {host: 10.0.0.11, imap: 993, tls: implicit}}\n',
    error: /^mailmux\.yaml:2:\d+: does nothing with tls: passthrough: no login is seen here$/,
  },
  {
    it: 'an exempt network that deny has',
    main: limits('{exempt: [10.1.0.0/16], deny: [10.0.0.0/8]}'),
    warning: /does nothing: a network of deny has it/,
  },
])

test('the caret is at the value', (t) => {
  const { text } = load(t, { main: limits('{max_connections: 20, connections_per_address: 50}') })
  assert.match(text, /\n {85}\^~$/m)
})

test('a listener has the defaults but for its own keys, and max_connections for itself alone', (t) => {
  const main = limits(
    '{max_connections: 500, login_rate: 10/10s, penalty: {most: 0s}}',
    '{max_connections: 1000, sessions_per_user: 40, login_rate: 60/1m, connection_rate: 120/1m, penalty: {after: 5}}',
  )
  const { listeners, limits: all } = loadSettings(t, { main: main })
  const { access: _, ...own } = listeners[0]!.limits
  assert.deepEqual(own, {
    exempt: [],
    maxConnections: 500,
    connectionsPerAddress: undefined,
    connectionsPerPrefix: undefined,
    sessionsPerUser: 40,
    sessionsPerDomain: undefined,
    sessionsPerBackendUser: undefined,
    connectionRate: { count: 120, perMs: 60_000 },
    loginRate: { count: 10, perMs: 10_000 },
    userLoginRate: undefined,
    penalty: undefined,
  })
  assert.equal(all.maxConnections, 1000)
})

test('a penalty has its defaults', (t) => {
  const { listeners } = loadSettings(t, { main: limits('{}', '{penalty: {}}') })
  assert.deepEqual(listeners[0]?.limits.penalty, { after: 3, stepMs: 1000, mostMs: 15_000, halfLifeMs: 600_000 })
})
