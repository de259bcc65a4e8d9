import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import { clientLimits } from '../listener/listener-settings.ts'
import { inspect } from 'node:util'
import { certificate, load, loadSettings, MAIN, withListener } from './fixture.ts'

const ca = certificate('ca')['cert.pem']
const other = certificate('other')
const TICKETS = 't'.repeat(40)

const LOADED = {
  main: `
listeners:
  - name: mixed
    protocol: imap
    listen: 993
    tls: implicit
    passthrough: {'*.B.test': store2, Imap.A.test: store2, c.test: store2}
    proxy_protocol: required
    trusted_proxies: [192.0.2.1, 10.0.0.0/8]
    mechanisms: [PLAIN, EXTERNAL]
    imap_capability: IMAP4rev1 IDLE
    min_version: TLSv1.2
    ciphers: HIGH:!aNULL
    client_ca_file: ca.pem
    client_cert_user: '%{cn}@a.test'
    default_domain: D.test
    default_domains: {'2001:DB8:0::1': E.test, '::ffff:192.0.2.7': g.test, Imap.F.test: f.test}
    delimiters: '@%'
    master_separator: '*'
  - {name: all, protocol: imap, listen: 994, tls: passthrough, passthrough: {'*': store2, '*.b.test': store2, a.test: store2}}
tls: {certificates: [{cert: cert.pem, key: key.pem}], min_version: TLSv1.3, ticket_secret_file: tickets}
limits: {failure_delay: 0s}
`,
  routing: `
backends:
  store1:
    host: h
    imap: 1
    tls: starttls
    ca_file: ca2.pem
    pin_sha256: ['${'ab:'.repeat(31)}ab']
    client_cert: other-cert.pem
    client_key: other-key.pem
    proxy_protocol: v2
    forward_identity: false
    login_format: '%n'
    master: {user: proxy, password_file: master, separator: '*'}
  store2: {host: i, imap: 993, tls: implicit, master: {user: m, password_file: master}}
users: {a@b.test: store1}
domain_aliases: {Example.NET: Example.com}
`,
  others: {
    'ca.pem': ca,
    'ca2.pem': ca,
    'other-cert.pem': other['cert.pem'],
    'other-key.pem': other['key.pem'],
    tickets: `${TICKETS}\n`,
    master: 'hunter2\n',
  },
}

test('everything said of the wire reaches the settings of a listener', (t) => {
  const { listeners, tls, limits } = loadSettings(t, LOADED)
  const [mixed, all] = listeners
  assert.ok(mixed && all)
  const { listen: _, banner: __, ...rest } = mixed
  assert.deepEqual(rest, {
    name: 'mixed',
    protocol: 'imap',
    tls: 'implicit',
    allowPlaintextAuth: false,
    mechanisms: ['PLAIN', 'EXTERNAL'],
    capability: 'IMAP4rev1 IDLE',
    minVersion: 'TLSv1.2',
    ciphers: 'HIGH:!aNULL',
    clientCa: ca,
    clientUser: '%{cn}@a.test',
    passthrough: [
      { name: 'imap.a.test', backend: 'store2' },
      { name: 'c.test', backend: 'store2' },
      { name: '*.b.test', backend: 'store2' },
    ],
    proxyProtocol: 'required',
    trustedProxies: ['192.0.2.1/32', '10.0.0.0/8'],
    defaultDomain: 'd.test',
    defaultDomains: new Map([
      ['2001:db8::1', 'e.test'],
      ['192.0.2.7', 'g.test'],
      ['imap.f.test', 'f.test'],
    ]),
    delimiters: '@%',
    masterSeparator: '*',
    limits: clientLimits(),
  })
  assert.deepEqual(
    all.passthrough.map(({ name }) => name),
    ['a.test', '*.b.test', '*'],
  )
  assert.equal(tls.ticketSecret?.reveal(), TICKETS)
  assert.equal(limits.failureDelayMs, 0)
})

test('everything said of the wire reaches the settings of a back end', (t) => {
  const { routing } = loadSettings(t, LOADED)
  const store1 = routing.backends.get('store1')
  assert.ok(store1?.clientCertificate)
  assert.deepEqual(
    [store1.ca, store1.pins, store1.proxyProtocol, store1.forwardIdentity, store1.loginFormat],
    [ca, ['AB'.repeat(32)], 'v2', false, '%n'],
  )
  const { cert, key, certFile, keyFile } = store1.clientCertificate
  assert.deepEqual([cert, key.reveal()], [other['cert.pem'], other['key.pem']])
  assert.deepEqual(
    [certFile, keyFile].map((file) => path.basename(file)),
    ['other-cert.pem', 'other-key.pem'],
  )
  assert.deepEqual(
    [store1.master?.user, store1.master?.secret.reveal(), store1.master?.separator],
    ['proxy', 'hunter2', '*'],
  )
  assert.equal(routing.backends.get('store2')?.master?.separator, undefined)
  assert.deepEqual(routing.aliases, new Map([['example.net', 'example.com']]))
})

test('every file that is named is watched, and no secret in them is printed', (t) => {
  const { settings, files, directory } = load(t, LOADED)
  const names = ['mailmux.yaml', 'routing.yaml', 'cert.pem', 'key.pem', ...Object.keys(LOADED.others)]
  assert.deepEqual(files.toSorted(), names.map((name) => path.join(directory, name)).toSorted())
  const printed = `${inspect(settings, { depth: 9 })}${JSON.stringify(settings)}`
  for (const secret of ['hunter2', TICKETS, 'PRIVATE KEY']) assert.ok(!printed.includes(secret), secret)
})

test('files that are named and absent are watched too', (t) => {
  const main = withListener('client_ca_file: a.pem')
  const { settings, files } = load(t, {
    main: main.replace('key: key.pem}]', 'key: key.pem}], ticket_secret_file: b'),
    routing:
      'backends: {s: {host: h, imap: 1, tls: implicit, client_cert: c, client_key: d, master: {user: m, password_file: e}}}',
  })
  assert.equal(settings, undefined)
  const names = files.map((file) => path.basename(file))
  for (const name of ['a.pem', 'b', 'c', 'd', 'e']) assert.ok(names.includes(name), name)
})

test('a ticket secret may be any octets; the end of the line of a text is not part of it', (t) => {
  const main = MAIN.replace('key.pem}]', 'key.pem}]\n  ticket_secret_file: tickets')
  const secret = (tickets: string): string | undefined =>
    loadSettings(t, { main, others: { tickets } }).tls.ticketSecret?.reveal()
  assert.equal(secret(`${TICKETS}\r\n`), TICKETS)
  assert.equal(secret(TICKETS), TICKETS)
  // A newline that ends random octets is one of them.
  const octets = `${'\u0001'.repeat(31)}\n`
  assert.equal(secret(octets), octets)
})

test('warns of a client CA and of a client certificate that have expired', (t) => {
  const { warnings } = load(t, { ...LOADED, now: new Date(Date.now() + 3 * 86_400_000) })
  assert.ok(warnings.some((one) => /^mailmux\.yaml:14:21: this certificate expired/u.test(one)))
  assert.ok(warnings.some((one) => /^routing\.yaml:9:18: this certificate expired/u.test(one)))
  assert.deepEqual(load(t, LOADED).warnings, [])
})

test('one mistake about mechanisms or passthrough is reported once', (t) => {
  const misspelt = load(t, {
    main: withListener("mechanisms: [EXTERNEL], client_ca_file: cert.pem, client_cert_user: '%{cn}'"),
    routing: LOADED.routing,
    others: LOADED.others,
  })
  assert.equal(misspelt.errors.length, 1, misspelt.text)
  const portless = load(t, {
    main: withListener('tls: passthrough, passthrough: {"*": s}', ''),
    routing: 'backends: {s: {host: h, pop3: 995, tls: implicit}}',
  })
  assert.deepEqual([portless.errors.length, portless.warnings.length], [1, 0], portless.text)
})
