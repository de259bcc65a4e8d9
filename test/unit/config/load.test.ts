import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { clientLimits } from '../listener/listener-settings.ts'
import { inspect } from 'node:util'
import { loadConfig } from '../../../src/config/load.ts'
import { certificate, load, loadSettings, MAIN, ROUTING, temporaryDirectory } from './fixture.ts'

test('fills every default in', (t) => {
  const settings = loadSettings(t)
  assert.equal(settings.hostname, os.hostname())
  assert.deepEqual(settings.listeners, [
    {
      name: 'imap',
      protocol: 'imap',
      listen: ['0.0.0.0', '::'].map((host) => ({ host, port: 143, optional: true })),
      tls: 'starttls',
      banner: '%h %p service (%P) ready on %d',
      allowPlaintextAuth: false,
      mechanisms: undefined,
      capability: undefined,
      minVersion: undefined,
      ciphers: undefined,
      clientCa: undefined,
      clientUser: undefined,
      passthrough: [],
      proxyProtocol: 'off',
      trustedProxies: [],
      defaultDomain: undefined,
      defaultDomains: new Map(),
      delimiters: '@',
      masterSeparator: undefined,
      limits: clientLimits(),
    },
  ])
  assert.equal(settings.tls.minVersion, 'TLSv1.2')
  assert.deepEqual(settings.directory, { kind: 'static' })
  assert.equal(settings.admin, undefined)
  assert.deepEqual(settings.log, { level: 'info', format: 'json', file: undefined })
  assert.deepEqual(settings.limits, {
    maxConnections: undefined,
    maxLineBytes: 8192,
    loginTimeoutMs: 60_000,
    maxBadCommands: 3,
    maxWrongPasswords: 5,
    failureDelayMs: 1000,
    backendTimeoutMs: 20_000,
    idleMs: { imap: 31 * 60_000, pop3: 10 * 60_000, managesieve: 31 * 60_000 },
    endTimeoutMs: 60_000,
    spreadDisconnectsMs: 10_000,
    shutdownGraceMs: 30_000,
  })
  assert.deepEqual(settings.routing.backends.get('store1'), {
    name: 'store1',
    hosts: ['10.0.0.11'],
    srv: undefined,
    health: { check: 'greeting', intervalMs: 10_000, timeoutMs: 5000, rise: 2, fall: 3, testUser: undefined },
    ports: { imap: 143, pop3: 110 },
    tls: 'none',
    tlsName: undefined,
    ca: undefined,
    verify: 'name',
    pins: [],
    clientCertificate: undefined,
    proxyProtocol: 'none',
    forwardIdentity: true,
    lmtp: undefined,
    loginFormat: '%u',
    weight: 1,
    tags: [],
    master: undefined,
    limits: {
      sessions: undefined,
      logins: 1000,
      loginsPerSecond: undefined,
      waitMs: 10_000,
      queue: 10_000,
      leastForAddress: 4,
    },
    slowStartMs: 10_000,
    state: 'up',
  })
  assert.equal(settings.tls.ticketSecret, undefined)
  assert.deepEqual(settings.routing.aliases, new Map())
})

test('a listener without addresses takes the registered port of its protocol and TLS', (t) => {
  const ports = {
    'imap, tls: starttls': 143,
    'imap, tls: implicit': 993,
    'pop3, tls: none': 110,
    'pop3, tls: implicit': 995,
    'imap, tls: passthrough, passthrough: {"*": store1}': 993,
    'pop3, tls: passthrough, passthrough: {"*": store1}': 995,
  }
  for (const [kind, port] of Object.entries(ports)) {
    const plain = /none|passthrough/u.test(kind) ? '' : 'tls: {certificates: [{cert: cert.pem, key: key.pem}]}'
    const settings = loadSettings(t, {
      main: `listeners: [{name: x, protocol: ${kind}}]\n${plain}`,
      routing: ROUTING.replace('{', '{tls: implicit, tls_name: s.test, '),
    })
    assert.deepEqual(new Set(settings.listeners[0]?.listen.map((one) => one.port)), new Set([port]), kind)
  }
})

test('a written value takes the place of each default', (t) => {
  const main = `
hostname: mx.example.test
workers: 3
listeners:
  - {name: a, protocol: pop3, listen: ['127.0.0.1:1110', '[::1]:1110'], tls: implicit, banner: hi, default_domain: Example.Test}
tls: {certificates: [{cert: cert.pem, key: key.pem}], min_version: TLSv1.3}
directory: {redis: {url: 'rediss://u@h:1/2', password_file: pw, prefix: 'x:', timeout: 1s}}
routing: sub/r.yaml
limits: {max_line: 16KiB, login_timeout: 5s, max_bad_commands: 9, backend_timeout: 7s, idle_imap: 1h, idle_pop3: 11m, shutdown_grace: 0s, max_connections: 500}
admin: {listen: '0.0.0.0:9143', token_file: token}
log: {level: debug, format: pretty, file: sub/mailmux.log}
`
  const directory = temporaryDirectory(t)
  fs.mkdirSync(path.join(directory, 'sub'))
  const pair = certificate('mail')
  const files = {
    'mailmux.yaml': main,
    'sub/r.yaml': `
backends:
  s: {host: s.example, imap: 1, pop3: "2", tls: starttls, tls_name: t.example, ca_file: ca.pem}
users: {Al@Example.Test: {backend: s, login: al}}
domains: {Example.ORG: {backend: s}, example.net: s}
`,
    'sub/ca.pem': pair['cert.pem'],
    pw: 'p%/@w\n',
    token: 'abc\n',
    ...pair,
  }
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(directory, name), text)
  const { settings, files: read } = loadConfig(path.join(directory, 'mailmux.yaml'), {})
  assert.ok(settings)
  assert.equal(settings.hostname, 'mx.example.test')
  assert.equal(settings.workers, 3)
  assert.deepEqual(settings.listeners[0]?.listen[1], { host: '::1', port: 1110, optional: false })
  assert.equal(settings.listeners[0].defaultDomain, 'example.test')
  assert.ok(settings.directory.kind === 'redis')
  const { servers, username, password, tls } = settings.directory
  assert.deepEqual(servers, { kind: 'single', server: { host: 'h', port: 1 }, database: 2 })
  assert.deepEqual([username, password?.reveal()], ['u', 'p%/@w'])
  assert.deepEqual(tls, { ca: undefined, clientCertificate: undefined, serverName: undefined })
  assert.deepEqual([settings.directory.prefix, settings.directory.timeoutMs], ['x:', 1000])
  assert.equal(settings.limits.maxLineBytes, 16_384)
  assert.deepEqual(settings.log, { level: 'debug', format: 'pretty', file: path.join(directory, 'sub/mailmux.log') })
  assert.equal(settings.limits.shutdownGraceMs, 0)
  assert.equal(settings.limits.maxConnections, 500)
  assert.deepEqual(
    [settings.admin?.host, settings.admin?.port, settings.admin?.token?.reveal()],
    ['0.0.0.0', 9143, 'abc'],
  )
  const backend = settings.routing.backends.get('s')
  assert.deepEqual(
    [backend?.ports, backend?.tlsName, backend?.ca],
    [{ imap: 1, pop3: 2 }, 't.example', pair['cert.pem']],
  )
  assert.deepEqual([...settings.routing.users], [['Al@example.test', { backend: 's', login: 'al' }]])
  assert.deepEqual([...settings.routing.domains.keys()], ['example.org', 'example.net'])
  // What a watcher must watch: every file, absolute.
  const names = ['mailmux.yaml', 'sub/r.yaml', 'cert.pem', 'key.pem', 'token', 'pw', 'sub/ca.pem']
  assert.deepEqual(read.sort(), names.map((name) => path.join(directory, name)).sort())
  // Nothing secret is printed by any inspect or JSON of the settings.
  const printed = `${inspect(settings, { depth: 9 })}${JSON.stringify(settings)}`
  for (const secret of ['abc', 'p%/@w', 'PRIVATE KEY']) assert.ok(!printed.includes(secret), secret)
})

test('reports all mistakes of both files at once, in the order of the lines', (t) => {
  const { settings, errors } = load(t, {
    main: `
workers: many
listeners:
  - name: imap
    protocol: imap
    banners: x
    tls: implict
  - {name: imap, protocol: smtp, listen: [143, 70000]}
tls:
  certificates: [{cert: cert.pem}]
limits: {max_line: 1GiB, login_timeout: 5}
colour: red
`,
    routing: `
backends:
  store1: {host: 10.0.0.11, imap: 0}
  store2: {imap: 143, tsl: none}
users: {a@b: stor1, c@d: {login: x}}
`,
  })
  assert.equal(settings, undefined)
  assert.deepEqual(errors, [
    'mailmux.yaml:2:10: must be auto, or a whole number from 1 to 64',
    'mailmux.yaml:6:5: unknown key "banners" (did you mean "banner"?)',
    'mailmux.yaml:7:10: expected one of none, starttls, implicit, passthrough (did you mean "implicit"?)',
    'mailmux.yaml:8:12: listener 1 has this name already',
    'mailmux.yaml:8:28: expected one of imap, pop3, managesieve',
    'mailmux.yaml:8:48: not a port: a whole number from 1 to 65535',
    'mailmux.yaml:10:18: missing key "key"',
    'mailmux.yaml:11:20: not a size: write it as 512B, 64KiB or 1MiB',
    'mailmux.yaml:11:41: a duration needs its unit: write it as 500ms, 30s, 10m or 24h',
    'mailmux.yaml:12:1: unknown key "colour"',
    'routing.yaml:3:35: not a port: a whole number from 1 to 65535',
    'routing.yaml:4:3: is nowhere: it needs host, or srv',
    'routing.yaml:4:23: unknown key "tsl" (did you mean "tls"?)',
    'routing.yaml:5:14: unknown back end "stor1" (did you mean "store1"?)',
    'routing.yaml:5:26: missing key "backend"',
  ])
})

test('a syntax error in one file does not hide the mistakes of the other', (t) => {
  const { errors } = load(t, { main: 'a: b: c', routing: 'backends: {s: {host: h, imap: x}}' })
  assert.equal(errors.length, 2)
  assert.match(errors[0] ?? '', /^mailmux\.yaml:1:4: /u)
  assert.match(errors[1] ?? '', /^routing\.yaml:1:31: not a port/u)
})

test('a mistake in an anchored default is reported once, where it is written', (t) => {
  const { text } = load(t, {
    routing: `
backends:
  store1: &default
    host: 10.0.0.11
    imap: 143
    wait: 1
  store2:
    <<: *default
    host: 10.0.0.12
  store3: {<<: *default, pop3: 0}
domains: {example.test: store1}
`,
  })
  assert.equal(
    text,
    [
      'routing.yaml:6:5: error: unknown key "wait"',
      '    wait: 1',
      '    ^~~~',
      'routing.yaml:10:32: error: not a port: a whole number from 1 to 65535',
      '  store3: {<<: *default, pop3: 0}',
      '                               ^',
    ].join('\n'),
  )
})

test('errors about values of a wrong form state what is expected in their place', (t) => {
  const { errors } = load(t, {
    main: 'hostname: 5\nlisteners: []\ntls: 5\nadmin:\nlog: {level: [a]}\nlimits: {max_bad_commands: 1.5}\ndirectory: [a]\n',
    routing: 'backends: {}\nusers:\ndomains: {x: [1]}\n',
  })
  assert.deepEqual(errors, [
    'mailmux.yaml:1:11: expected a text; write this number in quotes',
    'mailmux.yaml:2:12: at least one listener is needed',
    'mailmux.yaml:3:6: expected keys with values',
    'mailmux.yaml:4:1: expected keys with values; nothing stands here ({} for none)',
    'mailmux.yaml:5:14: expected one of debug, info, warn, error',
    'mailmux.yaml:6:28: must be a whole number from 1 to 100',
    'mailmux.yaml:7:12: expected keys with values',
    'routing.yaml:1:1: at least one back end is needed',
    'routing.yaml:2:1: expected keys with values; nothing stands here ({} for none)',
    'routing.yaml:3:14: expected keys with values',
  ])
})

test('an empty file says what is missing', (t) => {
  assert.deepEqual(load(t, { main: '', routing: '# nothing\n' }).errors, [
    'mailmux.yaml:1:1: expected keys with values; nothing stands here ({} for none)',
    'routing.yaml:1:1: expected keys with values; nothing stands here ({} for none)',
  ])
})

test('says which file is absent, and where it is named', (t) => {
  const directory = temporaryDirectory(t)
  const absent = loadConfig(path.join(directory, 'mailmux.yaml'), {})
  assert.deepEqual(
    absent.problems.map(({ spot, message }) => [spot, message]),
    [[undefined, 'this file does not exist']],
  )
  assert.match(
    load(t, { main: `${MAIN}routing: r.yaml` }).errors[0] ?? '',
    /6:10: the routing file r\.yaml does not exist/u,
  )
  assert.match(loadConfig(directory, {}).problems[0]?.message ?? '', /is a directory/u)
})

test('a file that is not text is an error', (t) => {
  const directory = temporaryDirectory(t)
  fs.writeFileSync(path.join(directory, 'mailmux.yaml'), Buffer.from([0x61, 0x3a, 0xff, 0xfe]))
  assert.match(loadConfig(path.join(directory, 'mailmux.yaml'), {}).problems[0]?.message ?? '', /not UTF-8/u)
})

test('a byte order mark before the file does no harm', (t) => {
  loadSettings(t, { main: `\ufeff${MAIN}` })
})

test('no password of a URL is shown with its line', (t) => {
  const { text } = load(t, { main: `${MAIN}directory: {redis: {url: 'redis://u:hunter2@h/x', tiemout: 1s}}` })
  assert.match(text, /did you mean "timeout"/u)
  assert.ok(!text.includes('hunter2'))
})

test('names the files the way that the main file was named', (t) => {
  const directory = temporaryDirectory(t)
  fs.writeFileSync(path.join(directory, 'mailmux.yaml'), `${MAIN}x: 1`)
  fs.writeFileSync(path.join(directory, 'routing.yaml'), `${ROUTING}y: 1`)
  const relative = path.relative(process.cwd(), path.join(directory, 'mailmux.yaml'))
  const named = new Set(loadConfig(relative, {}).problems.map(({ file }) => file))
  assert.deepEqual(named, new Set([relative, path.join(path.dirname(relative), 'routing.yaml')]))
})

test('loads 20,000 users', (t) => {
  const users = Array.from({ length: 20_000 }, (_, i) => `  user${i}@example.test: {backend: store1, login: u${i}}`)
  const settings = loadSettings(t, {
    routing: `backends: {store1: {host: h, imap: 143}}\nusers:\n${users.join('\n')}\n`,
  })
  assert.equal(settings.routing.users.size, 20_000)
  assert.deepEqual(settings.routing.users.get('user19999@example.test'), { backend: 'store1', login: 'u19999' })
})
