/** `mailmux reload`: what it asks, what it prints, and its exit code. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatExplanation } from '../../../src/cli/explain-table.ts'
import { reload } from '../../../src/cli/reload.ts'
import { openAdminPort } from './admin-port.ts'

const CHANGES = [
  { what: 'listener', name: 'pop3', change: 'removed', text: 'listener pop3: removed' },
  { what: 'users', change: 'changed', text: 'users: 1 added\x1b[2J' },
]

test('shows what has changed, and ends with 0', async (t) => {
  const answer = { changes: CHANGES, warnings: ['a warning'], late: [] }
  const { config, terminal, asked, out, errors, tokens } = await openAdminPort(t, 200, answer)
  assert.equal(await reload({ config }, terminal), 0)
  assert.deepEqual(asked, ['POST /api/v1/reload'])
  assert.deepEqual([...tokens], ['Bearer open-sesame'])
  assert.deepEqual(out.slice(0, 3), ['a warning', 'reloaded: 2 changes', '  listener pop3: removed'])
  assert.match(out[3] ?? '', /^ {2}users: 1 added/)
  assert.ok(!out.join('').includes('\x1b'))
  assert.deepEqual(errors, [])
})

test('says that nothing differs', async (t) => {
  const { config, terminal, out } = await openAdminPort(t, 200, { changes: [], warnings: [], late: [] })
  assert.equal(await reload({ config }, terminal), 0)
  assert.deepEqual(out, ['reloaded: nothing differs from the configuration in force'])
})

test('shows each error of a refused reload, and ends with 1', async (t) => {
  const answer = { error: '2 errors', errors: ['first', 'second'] }
  const { config, terminal, out, errors } = await openAdminPort(t, 409, answer)
  assert.equal(await reload({ config }, terminal), 1)
  const expected = ['mailmux reload: first', 'mailmux reload: second', 'mailmux reload: nothing has changed']
  assert.deepEqual([out, errors], [[], expected])
})

test('ends with 1 if a worker has not confirmed the change', async (t) => {
  const { config, terminal, errors } = await openAdminPort(t, 200, { changes: CHANGES, warnings: [], late: [2] })
  assert.equal(await reload({ config }, terminal), 1)
  assert.match(errors[0] ?? '', /worker 2 has not confirmed the change/)
})

test('ends with 2 without an answer', async (t) => {
  const { config, terminal, errors } = await openAdminPort(t, 401, { error: 'the token is not the one' })
  assert.equal(await reload({ config }, terminal), 2)
  assert.deepEqual(errors, [
    'mailmux reload: mailmux refuses to answer: the token is not the one',
    'mailmux reload: if the address or the token of admin has changed, SIGHUP takes it over',
  ])
})

test('an explanation says that the files in force are older than the files on disk, and why', () => {
  const lines = formatExplanation(
    {
      usable: false,
      login: { user: 'ann', protocol: 'imap', listener: 'imap', tls: 'none' },
      steps: [],
      refusal: { detail: 'no route' },
      notTakenOver: { atMs: 1000, errors: ['routing.yaml:1:1: error: wrong'] },
    },
    61_000,
  )
  const at = lines.findIndex((line) => line.startsWith('not taken over'))
  assert.match(lines[at] ?? '', /^not taken over +the files as they were read 1m ago:$/)
  assert.match(lines[at + 1] ?? '', /^ +routing\.yaml:1:1: error: wrong$/)
})
