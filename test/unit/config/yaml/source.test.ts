import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseDocument } from 'yaml'
import { createProblems, formatProblem } from '../../../../src/config/yaml/problems.ts'
import { locate, readSource, toPlain } from '../../../../src/config/yaml/source.ts'
import { fillVariables } from '../../../../src/config/yaml/variables.ts'

function read(text: string, env: Record<string, string> = {}) {
  const problems = createProblems()
  const source = readSource('f.yaml', text, env, problems)
  const plain = source.root === undefined ? undefined : toPlain(source.root)
  return { source, plain, told: problems.list().flatMap(formatProblem) }
}

test('aliases and merge keys give the same values as the library gives', () => {
  const texts = [
    'a: &x {q: 1, r: [1, 2]}\nb:\n  <<: *x\n  q: 2\nc: *x\n',
    'a: &x {q: 1}\nb: &y {q: 2, z: 3}\nc: {<<: [*x, *y], w: 4}\n',
    'a: {q: 1, <<: {q: 2, z: 3}}\n',
    'a:\n  <<: {q: 1}\n  <<: {q: 2}\n',
    '"<<": 1\n',
    'a: &x 1\nb: &x 2\nc: *x\n',
    'a: !!str 1\nb: no\nc: 0x10\nd: ~\ne:\n',
    '- 1\n- [a, {b: c}]\n',
    'text',
  ]
  for (const text of texts) {
    const { plain, told } = read(text)
    assert.deepEqual(told, [], text)
    assert.deepEqual(plain, parseDocument(text, { merge: true, stringKeys: true, uniqueKeys: false }).toJS(), text)
  }
})

test('a key that stands twice is shown at its second place', () => {
  assert.deepEqual(read('users:\n  a@b: x\n  c@d: y\n  a@b: z\n').told, [
    'f.yaml:4:3: error: "a@b" stands here twice',
    '  a@b: z',
    '  ^~~',
  ])
})

test('an alias without its anchor is shown, and every one of them', () => {
  assert.deepEqual(read('a: *x\nb: {<<: *y}\n').told, [
    'f.yaml:1:4: error: no anchor &x stands before this',
    'a: *x',
    '   ^~',
    'f.yaml:2:9: error: no anchor &y stands before this',
    'b: {<<: *y}',
    '        ^~',
  ])
})

test('an anchor that contains itself is refused, as value and as merge', () => {
  for (const text of ['a: &x [*x]', 'a: &x {b: *x}', 'a: &x\n  <<: *x']) {
    assert.match(read(text).told[0] ?? '', /&x would contain itself/u)
  }
})

test('a bomb of aliases is refused, a thousand plain uses of one anchor are not', () => {
  const bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x]']
  for (let i = 1; i < 9; i++)
    bomb.push(
      `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(',')}]`,
    )
  assert.match(read(bomb.join('\n')).told[0] ?? '', /expand to too much/u)
  const uses = Array.from({ length: 1000 }, (_, i) => `b${i}: {<<: *d, host: h${i}}`)
  assert.deepEqual(read(['d: &d {imap: 143, pop3: 110}', ...uses].join('\n')).told, [])
})

test('deep nesting is an error and no crash', () => {
  for (const depth of [150, 5000, 20_000]) {
    assert.match(read('['.repeat(depth)).told.join('\n'), /error: /u)
    assert.match(read(`${'['.repeat(depth)}${']'.repeat(depth)}`).told.join('\n'), /nested too deeply/u)
  }
})

test('only maps can be merged', () => {
  assert.match(read('a: {<<: 5}').told[0] ?? '', /1:9: error: only a map can be merged/u)
})

test('a syntax error is shown with its caret, once a line', () => {
  assert.deepEqual(read('a: b: c\n').told, [
    'f.yaml:1:4: error: wrong indentation, or a ": " inside a text that should be in quotes',
    'a: b: c',
    '   ^',
  ])
  assert.match(read('a:\n\t- b\n').told[0] ?? '', /^f\.yaml:2:1: error: Tabs/u)
  assert.match(read('a: 1\n---\nb: 2\n').told[0] ?? '', /^f\.yaml:2:1: error: a second document/u)
  assert.match(read('a: !secret x\n').told[0] ?? '', /^f\.yaml:1:4: error: Unresolved tag/u)
  assert.match(read('%YAML 1.1\n---\na: no\n').told[0] ?? '', /only 1\.2/u)
})

test('a key named __proto__ is refused, as it would be lost', () => {
  assert.match(read('users:\n  __proto__: x\n').told[0] ?? '', /2:3: error: not usable as a key/u)
})

test('finds the place of a value in a merged map where it is written', () => {
  const { source } = read('d: &d\n  port: 1\nb:\n  x:\n    <<: *d\n    host: h\n')
  assert.equal(locate(source, ['b', 'x', 'port']).line, 2)
  assert.equal(locate(source, ['b', 'x', 'host']).line, 6)
  assert.equal(locate(source, ['b', 'x', 'absent', 'more']).line, 4)
})

test('lines end with LF or CRLF, and the columns stay', () => {
  assert.deepEqual(read('a: 1\r\nb: *x\r\n').told, [
    'f.yaml:2:4: error: no anchor &x stands before this',
    'b: *x',
    '   ^~',
  ])
})

test('fills variables in, and shows the one that is not set', () => {
  assert.deepEqual(read('a: x${A}y\n', { A: '1' }).plain, { a: 'x1y' })
  assert.deepEqual(read('a: "x${A}y"\nb: ${B}\n', { A: '1' }).told, [
    'f.yaml:2:4: error: the environment variable B is not set',
    'b: ${B}',
    '   ^~~~',
  ])
  assert.deepEqual(read('a: "one ${A} two ${B}"\n', { A: '1' }).told.at(-1), `${' '.repeat(17)}^~~~`)
})

test('a variable is a name between braces; $${ stands for itself', () => {
  assert.deepEqual(fillVariables('$${A} $A {A}', {}), { value: '${A} $A {A}' })
  for (const text of ['${', '${}', '${a b}', '${1}', '${A']) assert.ok('wrong' in fillVariables(text, { A: 'x' }), text)
  assert.ok('wrong' in fillVariables('${constructor}', {}), 'what every object inherits is no variable')
})

test('a password from a variable cannot break out of its URL', () => {
  const filled = fillVariables('redis://u:${P}@h:6379', { P: 'a/b@c?%#' })
  const url = new URL('value' in filled ? filled.value : '')
  assert.equal(url.hostname, 'h')
  assert.equal(decodeURIComponent(url.password), 'a/b@c?%#')
  assert.deepEqual(fillVariables('${URL}', { URL: 'redis://u:p@h' }), { value: 'redis://u:p@h' })
  assert.deepEqual(fillVariables('redis://${HOST}', { HOST: '[::1]:6379' }), { value: 'redis://[::1]:6379' })
})

test('never throws, whatever the text', () => {
  const piece = fc.constantFrom(
    'a',
    ': ',
    '\n',
    '  ',
    '- ',
    '&x ',
    '*x',
    '<<: ',
    '{',
    '}',
    '[',
    ']',
    ',',
    '"',
    "'",
    '|',
    '>',
    '!',
    '%',
    '#',
    '? ',
    '\t',
    '${A}',
    '${',
    '---\n',
    '\r',
    '\u0000',
    '\ufeff',
    '__proto__',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      read(pieces.join(''))
    }),
    { numRuns: 2000 },
  )
})
