import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createProblems, formatProblem } from '../../../../src/config/yaml/problems.ts'
import { readSource } from '../../../../src/config/yaml/source.ts'
import { cutUserBlock, type UserBlock } from '../../../../src/config/yaml/user-block.ts'
import type { YamlNode } from '../../../../src/config/yaml/nodes.ts'

function read(text: string, cut?: (text: string) => UserBlock | undefined) {
  const problems = createProblems()
  const { root } = readSource('routing.yaml', text, { STORE: 'store1' }, problems, cut)
  return { root: root && withoutOpenEnds(root), told: problems.list(), shown: problems.list().flatMap(formatProblem) }
}

/** The end of a block is that of its last line, blank and comment lines after it included or not: no message depends on it. */
function withoutOpenEnds(node: YamlNode): unknown {
  if (node.kind === 'scalar') return node
  if (node.kind === 'list') return { ...node, items: node.items.map(withoutOpenEnds) }
  const entries = [...node.entries].map(([name, { key, node: value }]) => [name, key, withoutOpenEnds(value)])
  return { ...node, range: node.range[0], entries }
}

function assertSame(text: string): void {
  const { root, shown } = read(text)
  const full = read(text, () => undefined)
  assert.deepEqual({ root, shown }, { root: full.root, shown: full.shown }, text)
}

const BACKENDS = 'backends:\n  store1: {host: 10.0.0.11, imap: 143}\n'

test('reads the usual forms of users without the YAML parser', () => {
  const lines = [
    '  alice@example.test: store1',
    '  "bob@example.test": store1   # moved in May',
    '  \'carol@example.test\':   "store1"',
    '  # sales',
    '',
    '  dave@example.test: {backend: store1, login: dave.smith@example.test}',
    "  erin: { login: 'erin@example.test',backend: store1 }",
    '  संपर्क@डाटामेल.भारत: store1',
    '  1234: store1',
    '  null: store1',
    '',
  ]
  for (const end of ['\n', '\r\n']) {
    const text = ['backends: {}', 'users:', ...lines, 'domains: {}', ''].join(end)
    assert.equal(cutUserBlock(text)?.rest, ['backends: {}', 'users:', '', 'domains: {}', ''].join(end))
    assertSame(text)
  }
})

test('leaves every other form to the YAML parser', () => {
  const lines = [
    '  a: &x store1',
    '  a: *x',
    '  a: !!str store1',
    '  <<: store1',
    '  a: |\n    store1',
    '  a: >-\n    store1',
    '  a: "store\\x31"',
    "  a: 'it''s'",
    '  a: "store\n    1"',
    '  a: store1\n    store2',
    '  a:\n    backend: store1',
    '  a:',
    '  ? a\n  : store1',
    '  a: ${STORE}',
    '  a: "${STORE}"',
    '  a: 0x10',
    '  a: true',
    '  a: null',
    '  a: {backend: null}',
    '  a: {backend: store1, backend: store1}',
    '  a: {backend: store1, port: 1}',
    '  a: {backend: store1,}',
    '  a: [store1]',
    '  a: store1: store2',
    '  a:\tstore1',
    '  a: store1\t',
    '  a: store1 #x\n   b: store1',
    '   a: store1\n  b: store1',
    '  - a',
    '  __proto__: store1',
  ]
  for (const line of lines) assertSame(`${BACKENDS}users:\n  z: store1\n${line}\ndomains: {}\n`)
})

test('takes for users only what is the value of the key users of the root', () => {
  const texts = [
    `a: "text\nusers:\n  a: store1\n"\n`,
    `a: {\nusers:\n  a: store1\n}\n`,
    `--- |\nusers:\n  a: store1\n`,
    `users:\n  a: store1\n- b\n`,
    `users:\n  a: store1\n    more\n`,
    `users:\n  a: store1\nusers:\n  b: store1\n`,
    `users:\n  a: store1\n---\nb: 1\n`,
    `users:\n  a: store1\n...\n`,
    `%YAML 1.1\n---\nusers:\n  a: off\n`,
    `a: 1\n users:\n  a: store1\n`,
    `- a\nusers:\n  a: store1\n`,
    `a: [\nusers:\n  a: store1\n`,
    `users:\n  a: store1`,
    `users:\n  a: store1\n  # end`,
    `\n\nusers: # of all\n\n  # x\n  a: store1\n\n# end\nb: \${STORE}\nc: \${NONE}\n`,
  ]
  for (const text of texts) assertSame(text)
})

test('gives the same tree and the same messages as the YAML parser, whatever the file', () => {
  const name = fc.constantFrom(
    'a',
    'b@example.test',
    '"c"',
    "'d@x'",
    '1',
    'null',
    '&a',
    '*a',
    'x y',
    'é',
    '"a"',
    '-',
    '?',
    "o'n",
    '""',
  )
  const store = fc.constantFrom(
    'store1',
    '"store1"',
    '1',
    'true',
    '~',
    '*a',
    '${STORE}',
    '${NO}',
    'a b',
    'a:',
    'a: b',
    '""',
    '',
  )
  const map = fc
    .tuple(fc.constantFrom('{', '{ ', '{\n'), name, store)
    .map(([open, login, one]) => `${open}backend: ${one}, login: ${login}}`)
  const value = fc.oneof(
    store,
    map,
    fc.constantFrom('{backend: store1}', '{login: x}', '{}', '|', '"', '[', 'store1 # c', 'store1#c', '# c'),
  )
  const indent = fc.constantFrom('  ', '  ', '  ', '  ', '  ', ' ', '   ', '', '\t')
  const line = fc
    .tuple(indent, name, fc.constantFrom(': ', ': ', ':  ', ':', ' : '), value)
    .map((parts) => parts.join(''))
  const plainLine = fc
    .tuple(fc.stringMatching(/^[a-c][a-c@.+_-]{0,4}$/u), fc.constantFrom('store1', 'store2'))
    .map(([user, at]) => `  ${user}: ${at}`)
  const any = fc.oneof(
    { weight: 8, arbitrary: plainLine },
    line,
    fc.constantFrom('', '  ', '# c', '  # c', '    # c', 'users:', '---', '...'),
  )
  const head = fc.constantFrom(
    '',
    BACKENDS,
    'backends: {\n',
    'a: "\n',
    'a: &a store1\n',
    '# c\n',
    '---\n',
    '- a\n',
    'a: |\n',
  )
  const tail = fc.constantFrom(
    '',
    'domains: {}\n',
    'domains: {x: *a, y: ${NO}}\n',
    '"\n',
    '}\n',
    'a: &b {c: *b}\n',
    '\n\n',
    '  b\n',
  )
  const file = fc.tuple(head, fc.array(any, { maxLength: 8 }), tail, fc.constantFrom('\n', '\n', '\r\n'))
  fc.assert(
    fc.property(file, ([before, lines, after, end]) =>
      assertSame(`${before}users:\n${lines.map((one) => `${one}\n`).join('')}${after}`.replaceAll('\n', end)),
    ),
    { numRuns: 1000 },
  )
})
