/** `mailmux check --diff`: what it prints, and its exit code. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { diff } from '../../../src/cli/check-diff.ts'
import { findEffects } from '../../../src/supervisor/reload-effects.ts'
import { openAdminPort, TOKEN } from './admin-port.ts'

const REMOVED = { what: 'listener', name: 'pop3', change: 'removed', text: 'listener pop3: removed' } as const
const LEAVING = { what: 'back end', name: 'store3', change: 'removed', text: 'back end store3: removed' } as const

async function run(t: Parameters<typeof openAdminPort>[0], answer: object, file?: string) {
  const port = await openAdminPort(t, 200, answer)
  Object.assign(answer, { file: file ?? port.config })
  return { ...port, code: await diff(port.config, port.terminal) }
}

test('shows what a reload would change and who would notice it, and ends with 3', async (t) => {
  const { code, out, asked } = await run(t, {
    changes: [
      { ...REMOVED, affected: { sessions: 214 } },
      { ...LEAVING, affected: { sessions: 1, users: 1204 } },
    ],
    restart: ['user'],
  })
  assert.equal(code, 3)
  assert.deepEqual(asked, ['GET /api/v1/reload'])
  assert.deepEqual(out, [
    'a reload would change:',
    '  listener pop3: removed (214 sessions there go on)',
    '  back end store3: removed (1 session there goes on; 1,204 users of the routing file in force have routes there; routes in a directory are not counted)',
    '  user: changes at a restart only',
  ])
})

test('ends with 0 if nothing would change, with 1 if the reload would be refused', async (t) => {
  const same = await run(t, { changes: [], restart: [] })
  assert.deepEqual([same.code, same.out], [0, ['a reload would change nothing']])
  const broken = await run(t, { changes: [], restart: [], errors: ['wrong'] })
  assert.deepEqual([broken.code, broken.errors], [1, ['mailmux check --diff: wrong']])
})

test('ends with 2 if the running mailmux has other files', async (t) => {
  const { code, errors } = await run(t, { changes: [], restart: [] }, '/etc/other.yaml')
  assert.equal(code, 2)
  assert.match(errors[0] ?? '', /has another configuration file: \/etc\/other\.yaml$/)
})

test('asks at the address of the running mailmux if the files have another one', async (t) => {
  const answer = { changes: [], restart: [] }
  const { config, terminal, errors, out, tokens } = await openAdminPort(t, 200, answer)
  Object.assign(answer, { file: config })
  const text = fs.readFileSync(config, 'utf8')
  const [, address = ''] = /listen: '([^']*)'/u.exec(text) ?? []
  fs.writeFileSync(config, text.replace(address, '127.0.0.1:1').replace('token_file: token', 'token_file: other'))
  fs.writeFileSync(path.join(path.dirname(config), 'other'), 'another-token\n')
  assert.equal(await diff(config, terminal), 69)
  assert.match(
    errors.at(-1) ?? '',
    /--admin HOST:PORT names the address of the running mailmux, and --token-file its token$/,
  )
  const tokenFile = path.join(path.dirname(config), 'token')
  assert.equal(await diff(config, terminal, { admin: address, tokenFile }), 0)
  assert.deepEqual([out, [...tokens]], [['a reload would change nothing'], [`Bearer ${TOKEN}`]])
  assert.equal(await diff(config, terminal, { admin: 'nowhere' }), 2)
  assert.match(errors.at(-1) ?? '', /--admin nowhere /)
})

test('counts the sessions of what changes, and the users of a back end that leaves', async () => {
  const users = new Map([
    ['ann', { backend: 'store3', login: undefined }],
    ['bob', { backend: 'store1', login: undefined }],
  ])
  const changes = [REMOVED, LEAVING, { what: 'users', change: 'changed', text: 'users: 1 added' } as const]
  const found = await findEffects(changes, users, (filter) =>
    Promise.resolve('listener' in filter ? 214 : filter.backend === 'store3' ? 7 : undefined),
  )
  assert.deepEqual(
    found.map(({ affected }) => affected),
    [{ sessions: 214 }, { sessions: 7, users: 1 }, undefined],
  )
})
