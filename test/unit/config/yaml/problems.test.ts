import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createProblems, didYouMean, formatProblem, type Spot } from '../../../../src/config/yaml/problems.ts'

function format(spot: Spot, message = 'no'): string[] {
  return formatProblem({ severity: 'error', file: 'f', spot, message })
}

test('the caret stands under the column, tabs and all', () => {
  assert.deepEqual(format({ line: 3, column: 4, length: 2, text: 'a:\tbb c' }), [
    'f:3:4: error: no',
    'a:\tbb c',
    '  \t^~',
  ])
})

test('the caret goes no further than its line', () => {
  assert.deepEqual(format({ line: 1, column: 3, length: 99, text: 'a: b' }).at(-1), '  ^~')
  assert.deepEqual(format({ line: 1, column: 5, length: 99, text: 'a: b' }).at(-1), '    ^')
})

test('of a very long line only the part about the caret is shown', () => {
  const [, line = '', caret = ''] = format({
    line: 1,
    column: 5001,
    length: 3,
    text: `${'a'.repeat(5000)}bug${'c'.repeat(5000)}`,
  })
  assert.ok(line.length <= 160)
  assert.equal(line.slice(caret.indexOf('^'), caret.length), 'bug')
})

test('control characters of a file do not reach the terminal', () => {
  assert.equal(format({ line: 1, column: 1, length: 1, text: 'a\u001b[2J\u0007b' })[1], 'a?[2J?b')
})

test('passwords in URLs are hidden in lines and messages, variables are not', () => {
  const text = 'url: redis://u:p/w@d@h x: redis://:${PW}@h y: a@b'
  const [head, line] = format({ line: 1, column: 1, length: 1, text }, 'bad redis://u:pw@h')
  assert.equal(line, 'url: redis://*:*****@h x: redis://:${PW}@h y: a@b')
  assert.equal(head, 'f:1:1: error: bad redis://*:**@h')
})

for (const [text, shown] of [
  ['  password: hun, ter#2', '  password: **********'],
  ['  password: hunter2 # of the Redis', '  password: ******* # of the Redis'],
  ['redis: {password: hunter2, timeout: 1x}', 'redis: {password: *******, timeout: 1x}'],
  [
    `{"admin_token" : "hun\\"ter, 2", 'x-secret': 'it''s', a: 1}`,
    `{"admin_token" : *************, 'x-secret': *******, a: 1}`,
  ],
  ['master: {user: m, Password: a}', 'master: {user: m, Password: *}'],
  ['  password_file: redis.password', '  password_file: redis.password'],
  ['  send_password: yse', '  send_password: yse'],
  ['  max_wrong_passwords: 5x', '  max_wrong_passwords: 5x'],
  ['  password: ${REDIS_PASSWORD}', '  password: ${REDIS_PASSWORD}'],
  ['  password:', '  password:'],
] as const)
  test(`a secret that stands in the file itself is hidden: ${shown}`, () => {
    assert.equal(format({ line: 1, column: 1, length: 1, text })[1], shown)
  })

test('a secret is hidden whose key is not in the shown part of a long line', () => {
  const text = `{a: {${' '.repeat(4000)}password: ${'s'.repeat(300)}, x: 1}}`
  const shown = format({ line: 1, column: text.indexOf('x: 1') + 1, length: 1, text })
    .slice(1)
    .join('')
  assert.match(shown, /\*{70},/)
  assert.doesNotMatch(shown, /s/)
})

test('the same problem at the same place is reported once', () => {
  const problems = createProblems()
  const spot = { line: 1, column: 1, length: 1, text: 'x' }
  problems.error('f', spot, 'a')
  problems.error('f', { ...spot }, 'a')
  problems.warn('f', spot, 'a')
  assert.equal(problems.list().length, 2)
})

test('suggests the nearest name, and none where all are far', () => {
  assert.equal(didYouMean('banners', ['banner', 'listen']), ' (did you mean "banner"?)')
  assert.equal(didYouMean('stroe1', ['store1', 'store2']), ' (did you mean "store1"?)')
  assert.equal(didYouMean('TLS', ['tls']), ' (did you mean "tls"?)')
  assert.equal(didYouMean('colour', ['listen', 'tls']), '')
  assert.equal(didYouMean('x', []), '')
})
