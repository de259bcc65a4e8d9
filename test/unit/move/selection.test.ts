/** The users of a bulk move: a file with errors, and a share of all. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isInShare, parseShare, readUsersFile } from '../../../src/move/selection.ts'
import { PLAIN_RULES } from '../../../src/user-name.ts'

test('reads one user a line, without comments and empty lines', () => {
  const text = '# first\n\nalice@Example.test\r\n  bob@example.test\t\n#carol@example.test\ndan'
  assert.deepEqual(readUsersFile(text, PLAIN_RULES), {
    users: [
      { user: 'alice@example.test', line: 3 },
      { user: 'bob@example.test', line: 4 },
      { user: 'dan', line: 6 },
    ],
    wrong: [],
  })
})

test('reports each wrong line with its number', () => {
  const { users, wrong } = readUsersFile('alice@example.test\na b\nbob\nalice@EXAMPLE.test\n', PLAIN_RULES)
  assert.deepEqual(
    users.map(({ user }) => user),
    ['alice@example.test', 'bob'],
  )
  assert.equal(wrong.length, 2)
  assert.equal(wrong[0]?.line, 2)
  assert.match(wrong[0].why, /no name of a user: it has a space/)
  assert.deepEqual(wrong[1], { line: 4, why: 'alice@example.test is in line 1 already' })
})

test('reads a share', () => {
  assert.equal(parseShare('20%'), 0.2)
  assert.equal(parseShare('0.5%'), 0.005)
  assert.equal(parseShare('100%'), 1)
  for (const text of ['', '0%', '101%', '20', '-1%', '1e2%', ' 20%']) assert.equal(parseShare(text), undefined, text)
})

test('a share is stable, of the right size, and a part of each larger one', () => {
  const users = Array.from({ length: 20_000 }, (_, index) => `user${index}@example.test`)
  const small = users.filter((user) => isInShare(user, 0.2))
  const large = new Set(users.filter((user) => isInShare(user, 0.5)))
  // Of 20,000 users the deviation of 20 % is 57 users.
  assert.ok(Math.abs(small.length - 4000) < 400, String(small.length))
  assert.ok(small.every((user) => large.has(user)))
  assert.ok(users.every((user) => isInShare(user, 1)))
})
