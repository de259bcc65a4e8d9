/** What a reload changes, in the words of the files. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildUserTable } from '../../../src/config/build/user-table.ts'
import { findChanges } from '../../../src/config/differences.ts'
import type { Settings } from '../../../src/config/settings.ts'
import { Secret } from '../../../src/secret.ts'
import { loadSettings, MAIN, ROUTING } from './fixture.ts'

const LISTENERS = `
listeners:
  - {name: imap, protocol: imap, listen: ["127.0.0.1:143"]}
  - {name: pop3, protocol: pop3, listen: ["127.0.0.1:110"]}
tls:
  certificates: [{cert: cert.pem, key: key.pem}]
`

const textsOf = async (before: Settings, after: Settings): Promise<string[]> =>
  (await findChanges(before, after)).map(({ text }) => text)

test('finds nothing where the content is the same', async (t) => {
  const one = loadSettings(t, { main: `${MAIN}user_case: lower\n` })
  const other = loadSettings(t, { main: `${MAIN}user_case: lower\n` })
  const tls = { ...other.tls, certificates: one.tls.certificates } // the directory of the files is in their paths
  assert.deepEqual(await findChanges(one, { ...other, tls }), [])
})

test('names added, removed and changed listeners with the keys that differ', async (t) => {
  const before = loadSettings(t, { main: LISTENERS })
  const [imap, pop3] = before.listeners
  assert.ok(imap && pop3)
  const listen = [{ host: '::1', port: 1143, optional: false }]
  const after = {
    ...before,
    listeners: [
      { ...imap, listen, banner: 'another', clientUser: '%{cn}' },
      { ...pop3, name: 'pops', listen },
    ],
  }
  assert.deepEqual(await findChanges(before, after), [
    { what: 'listener', name: 'pop3', change: 'removed', text: 'listener pop3: removed' },
    {
      what: 'listener',
      name: 'imap',
      change: 'changed',
      keys: ['listen', 'banner', 'client_cert_user'],
      text: 'listener imap: listens on [::1]:1143 in place of 127.0.0.1:143, banner, client_cert_user',
    },
    { what: 'listener', name: 'pops', change: 'added', text: 'listener pops: added, listens on [::1]:1143' },
  ])
})

test('names changed settings of the sections, and no secret', async (t) => {
  const before = loadSettings(t, {
    main: `${MAIN}admin: {listen: "127.0.0.1:9143", token_file: token}\n`,
    others: { token: 'aaaaaaaaaaaaaaaaaaaaaaaa' },
  })
  assert.ok(before.admin)
  const after: Settings = {
    ...before,
    workers: 4,
    log: { ...before.log, level: 'debug' },
    limits: { ...before.limits, loginTimeoutMs: 5, maxLineBytes: 9 },
    admin: { ...before.admin, token: new Secret('bbbbbbbbbbbbbbbbbbbbbbbb') },
    reload: { kind: 'signal' },
    delivery: { listen: { host: '127.0.0.1', port: 24091, optional: false }, clients: [], recipientDelimiter: '+' },
  }
  const texts = await textsOf(before, after)
  assert.deepEqual(texts.toSorted(), [
    'admin: token_file',
    'delivery: added',
    'limits: max_line, login_timeout',
    'log: level',
    'reload: auto becomes signal',
    'workers: 1 becomes 4: a new generation takes over, and running sessions end at safe points within shutdown_grace',
  ])
  assert.doesNotMatch(JSON.stringify(await findChanges(before, after)), /aaaa|bbbb/)
})

test('counts users and domains whose routes differ, in a Map and in a table', async (t) => {
  const routing = `${ROUTING}domains: {example.org: {backend: store1}}\n`
  const before = loadSettings(t, { routing: routing.replace('users:', 'users:\n  bob@example.test: store1') })
  const after = loadSettings(t, {
    routing: `
backends:
  store1: {host: 10.0.0.12, imap: 143, pop3: 110}
  store2: {host: 10.0.0.13, imap: 143}
users:
  alice@example.test: store2
  carol@example.test: store1
  dora@example.test: store1
`,
  })
  const expected = [
    'back end store1: hosts',
    'back end store2: added',
    'users: 2 added, 1 removed, 1 with another route',
    'domains: 1 removed',
  ]
  const same = { tls: before.tls, files: before.files }
  assert.deepEqual(await textsOf(before, { ...after, ...same }), expected)
  const tabled = { ...after.routing, users: buildUserTable(after.routing.users) }
  assert.deepEqual(await textsOf(before, { ...after, ...same, routing: tabled }), expected)
})
