/** Where operators ask a running mailmux, read from a file that may have errors elsewhere. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadAdminPlace } from '../../../src/config/load-admin.ts'
import { MAIN, temporaryDirectory } from './fixture.ts'

function place(t: TestContext, main: string, others: Record<string, string> = {}) {
  const directory = temporaryDirectory(t)
  const file = path.join(directory, 'mailmux.yaml')
  for (const [name, text] of Object.entries({ 'mailmux.yaml': main, ...others }))
    fs.writeFileSync(path.join(directory, name), text)
  const found = loadAdminPlace(file, {})
  if ('wrong' in found) return found.wrong.replaceAll(`${directory}/`, '')
  return { ...found, token: found.token?.reveal() }
}

test('is where the section says, with the token of its file', (t) => {
  assert.deepEqual(place(t, `${MAIN}admin: {}`), { host: '127.0.0.1', port: 9143, token: undefined })
  assert.deepEqual(place(t, `${MAIN}admin: {listen: '192.0.2.1:99', token_file: token}`, { token: 'abc\n' }), {
    host: '192.0.2.1',
    port: 99,
    token: 'abc',
  })
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
