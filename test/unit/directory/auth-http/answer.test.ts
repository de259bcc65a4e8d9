/** The answers of an auth server, and their refusals. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MuxError } from '../../../../src/errors.ts'
import { findBackendAt, readAnswer } from '../../../../src/directory/auth-http/answer.ts'
import { backends } from './fixture.ts'

const PLACE = { 'Auth-Server': '10.0.0.1', 'Auth-Port': '143' }
const OK = { 'Auth-Status': 'OK', ...PLACE }

function read(headers: Record<string, string>, status = 200) {
  return readAnswer(status, Object.entries(headers).flat())
}

test('reads where a login goes', () => {
  const nothing = { user: undefined, password: undefined }
  assert.deepEqual(read(OK), { kind: 'ok', server: '10.0.0.1', port: 143, ...nothing })
  assert.deepEqual(read({ 'auth-status': 'OK', 'AUTH-SERVER': 'store1', 'auth-Port': '1' }, 204), {
    kind: 'ok',
    server: 'store1',
    port: 1,
    ...nothing,
  })
})

test('reads the login name in UTF-8, and the password octet by octet', () => {
  const answer = read({ ...OK, 'Auth-User': 'j\u00c3\u00bcrgen', 'Auth-Pass': 'a b%20\u00c3\u00bc' })
  assert.ok(answer.kind === 'ok')
  assert.equal(answer.user, 'jürgen')
  assert.equal(answer.password?.reveal(), 'a b%20\u00c3\u00bc')
  assert.ok(!JSON.stringify(answer).includes('b%20'))
})

test('reads a refusal, its delay and whether it is the last', () => {
  const refused = (headers: Record<string, string>) => read({ 'Auth-Status': 'Invalid login', ...PLACE, ...headers })
  const text = '"Invalid login"'
  assert.deepEqual(refused({ 'Auth-Wait': '3' }), { kind: 'refused', text, waitMs: 3000 })
  assert.deepEqual(refused({ 'Auth-Wait': '99999' }), { kind: 'refused', text, waitMs: 10_000 })
  for (const headers of [{}, { 'Auth-Wait': '0' }, { 'Auth-Wait': '' }, { 'Auth-Wait': '-1' }, { 'Auth-Wait': '1s' }])
    assert.deepEqual(refused(headers), { kind: 'refused', text, waitMs: undefined })
})

test('treats every status except OK and WAIT, in capitals, as a refusal', () => {
  for (const word of ['ok', 'OK ', 'Ok', 'OK, OK', '', 'WAITING', 'FAIL'])
    assert.equal(read({ ...OK, 'Auth-Status': word }).kind, 'refused', word)
})

test('reads that it is to ask again', () => {
  assert.deepEqual(read({ 'Auth-Status': 'WAIT', 'Auth-Wait': '2' }), { kind: 'wait', waitMs: 2000 })
  assert.deepEqual(read({ 'Auth-Status': 'WAIT' }), { kind: 'wait', waitMs: 0 })
})

test('takes a no with the status of a refusal, and a yes with that of a success alone', () => {
  for (const status of [401, 403]) assert.equal(read({ 'Auth-Status': 'no' }, status).kind, 'refused')
  for (const status of [0, 301, 302, 304, 400, 401, 404, 500, 502, 503, 999])
    for (const word of ['OK', 'WAIT'])
      assert.throws(
        () => read({ ...OK, 'Auth-Status': word }, status),
        { code: 'directory-unavailable' },
        String(status),
      )
  for (const status of [302, 500, 503])
    assert.throws(() => read({ 'Auth-Status': 'no' }, status), { code: 'directory-unavailable' })
})

test('takes what is not of the contract for no answer at all', () => {
  for (const headers of [
    {},
    { 'Content-Type': 'text/html' },
    PLACE,
    { 'Auth-Status': 'OK' },
    { ...OK, 'Auth-Port': '' },
  ])
    assert.throws(() => read(headers), { code: 'directory-unavailable' })
  const twice = Object.entries(OK).flat().concat('auth-server', '10.0.0.2')
  assert.throws(() => readAnswer(200, twice), { code: 'directory-unavailable', message: /auth-server twice/ })
})

test('refuses an answer with an invalid target', () => {
  for (const port of ['imap', '-143', '143.0', '0x8f', '1431431', ' 143'])
    assert.throws(() => read({ ...OK, 'Auth-Port': port }), { code: 'route-invalid' }, port)
  for (const password of ['', 'a\tb', 'a\x7f', 'a\r\nA LOGOUT'])
    assert.throws(() => read({ ...OK, 'Auth-Pass': password }), { code: 'route-invalid' }, JSON.stringify(password))
})

test('finds the back end by one of its addresses and its port', () => {
  const all = backends({ store2: { hosts: ['2001:db8::2', '10.0.1.2'] }, store3: { hosts: ['Store3.example.test'] } })
  const find = (server: string, port = 143, protocol: 'imap' | 'pop3' = 'imap') =>
    findBackendAt(all, protocol, { server, port })
  assert.equal(find('10.0.0.1'), 'store1')
  assert.equal(find('10.0.0.1', 110, 'pop3'), 'store1')
  for (const server of ['10.0.1.2', '2001:db8::2', '2001:DB8:0:0::2']) assert.equal(find(server), 'store2')
  assert.equal(find('store3.EXAMPLE.test'), 'store3')
})

test('finds it by its name in the routing file', () => {
  assert.equal(findBackendAt(backends(), 'imap', { server: 'store2', port: 143 }), 'store2')
})

// Whoever could have any host named would have passwords sent there (CVE-2022-27924).
const STRANGE: [string, number][] = [
  ['192.0.2.66', 143],
  ['10.0.0.1', 144],
  ['10.0.0.1', 110],
  ['10.0.0.10', 143],
  ['10.0.0.1:143', 143],
  ['010.0.0.1', 143],
  ['store1.evil.example.net', 143],
  ['STORE1', 143],
  ['__proto__', 143],
  ['unix:/run/mail', 143],
  ['0.0.0.0', 143],
  ['::ffff:0.0.0.0', 143],
  ['', 143],
]
for (const [server, port] of STRANGE)
  test(`leads nowhere but to a back end of the routing file: "${server}" port ${port}`, () => {
    assert.throws(() => findBackendAt(backends(), 'imap', { server, port }), {
      code: 'route-invalid',
      message: /no back end of the routing file for imap/,
    })
  })

test('does not choose between two back ends at one address', () => {
  const all = backends({ store2: { hosts: ['10.0.0.1'] } })
  assert.throws(() => findBackendAt(all, 'imap', { server: '10.0.0.1', port: 143 }), {
    code: 'route-invalid',
    message: /more than one back end of the routing file: store1, store2/,
  })
  const apart = backends({ store2: { hosts: ['10.0.0.1'], ports: { imap: 1143 } } })
  assert.equal(findBackendAt(apart, 'imap', { server: '10.0.0.1', port: 1143 }), 'store2')
})

test('throws nothing but a MuxError of little text, whatever it is given', () => {
  const name = fc.constantFrom('Auth-Status', 'Auth-Server', 'Auth-Port', 'Auth-User', 'Auth-Pass', 'Auth-Wait', 'Date')
  const value = fc.oneof(
    fc.constantFrom('OK', 'WAIT', '143', '10.0.0.1', 'store1', '::1%eth0', 'fe80::1%1', '::ffff:10.0.0.1'),
    fc.string({ unit: 'binary' }),
    fc.string({ minLength: 1000, maxLength: 5000 }),
  )
  const headers = fc.array(fc.tuple(name, value), { maxLength: 8 })
  fc.assert(
    fc.property(headers, fc.integer({ min: 0, max: 999 }), (pairs, status) => {
      try {
        const answer = readAnswer(status, pairs.flat())
        if (answer.kind === 'ok') assert.ok(backends().has(findBackendAt(backends(), 'imap', answer)))
      } catch (error) {
        assert.ok(error instanceof MuxError, String(error))
        assert.ok(error.message.length < 1000)
        assert.doesNotMatch(error.message, /[\x00-\x1f]/)
      }
    }),
    { numRuns: 500 },
  )
})

test('takes a yes up to status 299, and a no from status 400 on', () => {
  for (const status of [200, 299]) assert.equal(read(OK, status).kind, 'ok')
  for (const status of [199, 300]) assert.throws(() => read(OK, status), { code: 'directory-unavailable' })
  for (const status of [200, 299, 400, 499]) assert.equal(read({ 'Auth-Status': 'no' }, status).kind, 'refused')
  for (const status of [199, 300, 399, 500]) {
    assert.throws(() => read({ 'Auth-Status': 'no' }, status), { code: 'directory-unavailable' })
  }
})
