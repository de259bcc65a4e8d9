import assert from 'node:assert/strict'
import { test } from 'node:test'
import { certificate, load, loadSettings, MAIN, withListener } from './fixture.ts'

test('takes banners that fit and refuses those that break the line', (t) => {
  const bad = {
    '%q': /"%q" is no placeholder/u,
    '100%': /"%" is no placeholder/u,
    'a\\r\\n* BYE': /one line without control characters/u,
    'a\\u0000b': /control characters/u,
    'caf\\u00e9': /printable ASCII/u,
    '[ALERT] x': /must not begin with/u,
    '': /must not be empty/u,
    ['x'.repeat(401)]: /at most 400 octets/u,
    ['%V'.repeat(200)]: /filled in/u,
  }
  for (const [banner, message] of Object.entries(bad)) {
    const { errors } = load(t, { main: withListener(`banner: "${banner}"`) })
    assert.ok(errors.length === 1 && message.test(errors[0] ?? ''), `${banner}: ${errors.join()}`)
  }
  for (const banner of ['%h %p %P %v %V %d %%', 'x'.repeat(400), 'a [b]', '<imap>', '100%% ready']) {
    assert.equal(loadSettings(t, { main: withListener(`banner: "${banner}"`) }).listeners[0]?.banner, banner)
  }
})

test('a POP3 banner must not look like an offer of APOP', (t) => {
  const main = (banner: string): string => MAIN.replace('protocol: imap', `protocol: pop3, banner: '${banner}'`)
  assert.match(load(t, { main: main('hi <1.2@h>') }).errors[0] ?? '', /announces APOP/u)
  loadSettings(t, { main: main('a < b') })
})

test('says what is wrong with a certificate or a key', (t) => {
  const other = certificate('other')
  const mail = certificate('mail')
  const cases: [string, Record<string, string>, RegExp][] = [
    ['no certificate', { 'cert.pem': 'hello' }, /:5:25: cert\.pem holds no certificate in PEM form/u],
    ['a damaged one', { 'cert.pem': mail['cert.pem'].replace(/\n[^-]{20}/u, '\nAAAA') }, /cannot be read/u],
    ['no key', { 'key.pem': mail['cert.pem'] }, /:5:40: key\.pem holds no private key/u],
    ['an encrypted key', { 'key.pem': '-----BEGIN ENCRYPTED PRIVATE KEY-----\n' }, /without a passphrase/u],
    ['the key of another', { 'key.pem': other['key.pem'] }, /:5:40: this key does not match the certificate$/u],
    ['a chain in the wrong order', { 'cert.pem': other['cert.pem'] + mail['cert.pem'] }, /own must come first/u],
  ]
  for (const [it, others, message] of cases) {
    const { errors } = load(t, { others })
    assert.ok(errors.length === 1 && message.test(errors[0] ?? ''), `${it}: ${errors.join()}`)
  }
  assert.match(load(t, { main: MAIN.replace('key.pem', 'nokey.pem') }).errors[0] ?? '', /nokey\.pem does not exist/u)
  loadSettings(t, { others: { 'cert.pem': mail['cert.pem'] + other['cert.pem'] } })
})

test('warns of a certificate that has expired or is not valid yet', (t) => {
  const day = 86_400_000
  const after = load(t, { now: new Date(Date.now() + 3 * day) })
  assert.match(after.warnings[0] ?? '', /^mailmux\.yaml:5:25: this certificate expired on \d{4}-\d\d-\d\d$/u)
  assert.ok(after.settings)
  assert.match(load(t, { now: new Date(Date.now() - day) }).warnings[0] ?? '', /is not valid before/u)
  assert.deepEqual(load(t).warnings, [])
})

test('a token is one word in its file', (t) => {
  const main = `${MAIN}admin: {listen: '0.0.0.0:9143', token_file: token}`
  assert.match(load(t, { main, others: { token: ' \n' } }).errors[0] ?? '', /:6:45: token is empty/u)
  assert.match(load(t, { main, others: { token: 'a\nb\n' } }).errors[0] ?? '', /one word/u)
  assert.equal(loadSettings(t, { main, others: { token: 'abc\n' } }).admin?.token?.reveal(), 'abc')
  // RFC 6750 2.1: no client could send it
  assert.match(load(t, { main, others: { token: 'a"b' } }).errors[0] ?? '', /:6:45: token must be of letters/u)
  assert.equal(loadSettings(t, { main, others: { token: 'a-Z_0.~+/==' } }).admin?.token?.reveal(), 'a-Z_0.~+/==')
})
