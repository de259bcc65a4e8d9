/** Where operators ask a running mailmux, read from a file that may have errors elsewhere. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadAdminPlace, readAdminPlace } from '../../../src/config/load-admin.ts'
import { MAIN, temporaryDirectory } from './fixture.ts'

function place(t: TestContext, main: string, others: Record<string, string> = {}) {
  const directory = temporaryDirectory(t)
  const file = path.join(directory, 'mailmux.yaml')
  for (const [name, text] of Object.entries({ 'mailmux.yaml': main, ...others }))
    fs.writeFileSync(path.join(directory, name), text)
  const found = loadAdminPlace(file, {})
  if ('wrong' in found) return found.wrong.replaceAll(`${directory}/`, '')
  assert.equal(found.configFile, file)
  return { host: found.host, port: found.port, token: found.token?.reveal() }
}

test('is where the section says, with the token of its file', (t) => {
  assert.deepEqual(place(t, `${MAIN}admin: {}`), { host: '127.0.0.1', port: 9143, token: undefined })
  assert.deepEqual(place(t, `${MAIN}admin: {listen: '192.0.2.1:99', token_file: token}`, { token: 'abc\n' }), {
    host: '192.0.2.1',
    port: 99,
    token: 'abc',
  })
})

test('has the Unix socket of the section, or the default one', (t) => {
  const directory = temporaryDirectory(t)
  const file = path.join(directory, 'mailmux.yaml')
  for (const [section, socket] of [
    ['{}', { file: '/run/mailmux/admin.sock', isDefault: true }],
    ['{socket: admin.sock}', { file: path.join(directory, 'admin.sock'), isDefault: false }],
    ['{socket: /run/mailmux/admin.sock}', { file: '/run/mailmux/admin.sock', isDefault: false }],
    ['{socket: off}', undefined],
  ] as const) {
    fs.writeFileSync(file, `${MAIN}admin: ${section}`)
    const found = loadAdminPlace(file, {})
    assert.ok(!('wrong' in found))
    assert.deepEqual(found.socket, socket, section)
  }
})

test('is where an operator says', () => {
  const at = (address: string) => readAdminPlace(address, undefined, undefined)
  const place = { host: '192.0.2.1', port: 99, token: undefined }
  assert.deepEqual([at('192.0.2.1:99'), at('http://192.0.2.1:99'), at('http://192.0.2.1:99/')], Array(3).fill(place))
  assert.deepEqual(at('unix:/run/x.sock'), { file: '/run/x.sock' })
  assert.deepEqual(at('https://192.0.2.1:99'), {
    wrong: '--admin https://192.0.2.1:99 is HTTPS, which mailmux does not serve',
  })
  assert.ok('wrong' in at('nowhere'))
})

test('is on this machine where it listens on every address', (t) => {
  for (const [listen, host] of [
    ['0.0.0.0:99', '127.0.0.1'],
    ['[::]:99', '::1'],
  ] as const)
    assert.deepEqual(place(t, `admin: {listen: '${listen}', token_file: t}`, { t: 'x' }), {
      host,
      port: 99,
      token: 'x',
    })
})

test('is found in a file with errors, without its certificates, its routing file and its variables', (t) => {
  const main =
    'listeners: [{name: a}]\nunknown: ${NOT_SET}\ntls: {certificates: [{cert: absent, key: absent}]}\nadmin: {}'
  assert.deepEqual(place(t, main), { host: '127.0.0.1', port: 9143, token: undefined })
})

test('is not found, in words for the operator', (t) => {
  assert.equal(place(t, MAIN), 'admin is off: mailmux.yaml has no `admin: {}`')
  for (const wrong of ['{listen: nowhere}', '{token_file: }', '[]'])
    assert.equal(
      place(t, `${MAIN}admin: ${wrong}`),
      'admin of mailmux.yaml has an error: see mailmux check -c mailmux.yaml',
    )
  assert.match(place(t, `${MAIN}admin: {token_file: absent}`) as string, /^admin\.token_file: absent does not exist/)
  assert.match(
    place(t, `${MAIN}admin: {token_file: t}`, { t: 'ä' }) as string,
    /^admin\.token_file: t must be of letters/,
  )
  assert.match(place(t, 'a: [') as string, /^mailmux\.yaml:1:\d+: error: /)
  assert.match(place(t, '') as string, /^mailmux\.yaml/)
  const { wrong } = loadAdminPlace('/nowhere/mailmux.yaml', {}) as { wrong: string }
  assert.match(wrong, /^\/nowhere\/mailmux\.yaml does not exist/)
})
