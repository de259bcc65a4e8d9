/** net/address.ts alone reads and formats addresses: the same address has the same text in each log line, key and message. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import ts from 'typescript'

const root = join(import.meta.dirname, '../../..')
const HOME = 'src/net/address.ts'

/** What node:net exports for addresses, and the files beside `HOME` that use it. */
const OF_HOME: ReadonlyMap<string, readonly string[]> = new Map([
  ['isIP', []],
  ['isIPv4', []],
  ['isIPv6', []],
  ['SocketAddress', []],
  ['BlockList', ['src/net/ip-set.ts']], // asks it once for each connection, in less than a microsecond
])

/** @returns what a file does that only `HOME` may do, with the line */
function findFormatting(path: string, text: string): string[] {
  if (path === HOME) return []
  const wrong: string[] = []
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const report = (node: ts.Node, what: string): void => {
    wrong.push(`${path}:${tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${what}`)
  }
  const visit = (node: ts.Node): void => {
    const name = ts.isImportSpecifier(node)
      ? (node.propertyName ?? node.name).text
      : ts.isPropertyAccessExpression(node)
        ? node.name.text
        : ''
    const users = OF_HOME.get(name)
    if (users && !users.includes(path)) report(node, `${name} is of ${HOME}`)
    if (ts.isStringLiteralLike(node) && node.text === 'ipaddr.js') report(node, `ipaddr.js is of ${HOME}`)
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateLiteralToken(node)
    const written = isText ? node.text : ts.isRegularExpressionLiteral(node) ? node.text : ''
    // Prose, in a message or a description, may name the form.
    if (/^[^ ]*::ffff:[^ ]*$/i.test(written)) report(node, 'canonicalAddress() reads IPv4-mapped addresses')
    if (ts.isTemplateExpression(node)) checkTemplate(node)
    ts.forEachChild(node, visit)
  }
  const checkTemplate = ({ head, templateSpans: spans }: ts.TemplateExpression): void => {
    for (const [index, span] of spans.entries()) {
      const before = spans[index - 1]?.literal.text ?? head.text
      const after = span.literal.text
      const isWhole = before === '[' && after === ']' && spans.length === 1
      if (isWhole || (before.endsWith('[') && after.startsWith(']:'))) report(span, 'bracketHost() or hostPort()')
      const next = spans[index + 1]?.expression.getText() ?? ''
      if (after === ':' && /port$/i.test(next)) report(span, 'hostPort()')
    }
  }
  visit(tree)
  return wrong
}

test('no other file reads or formats addresses', () => {
  const paths = globSync('src/**/*.ts', { cwd: root })
  assert.ok(paths.includes(HOME))
  assert.deepEqual(
    paths.flatMap((path) => findFormatting(path, readFileSync(join(root, path), 'utf8'))),
    [],
  )
})

describe('the check', () => {
  const breaks = [
    "import { isIP } from 'node:net'",
    "import { isIP as is } from 'node:net'",
    'const is = net.isIPv6(host)',
    'const { address } = new net.SocketAddress({ address: text })',
    'const list = new BlockList()\nnet.BlockList',
    "import ipaddr from 'ipaddr.js'",
    "const mapped = text.startsWith('::ffff:')",
    'const v4 = text.replace(/^::FFFF:(?=[\\d.]+$)/, "")',
    'const mapped = `::ffff:${v4}`',
    'const at = `cannot listen on [${host}]:${port}`',
    'const host = `[${name}]`',
    'const key = `${host}:${port}`',
    'const key = `Redis ${node.host}:${node.port}`',
  ]
  for (const text of breaks) {
    test(`reports: ${text}`, () => {
      assert.ok(findFormatting('src/session/x.ts', text).length > 0)
      assert.deepEqual(findFormatting(HOME, text), [])
    })
  }

  test('lets other brackets and colons be', () => {
    const texts = [
      'const line = `NO [${code}] ${text}`',
      'const inode = `socket:[${inode}]`',
      'const time = `${hours}:${minutes}`',
      "const wrong = 'write an IPv4 address as such, without ::ffff:'",
      "import { connect } from 'node:net'",
    ]
    for (const text of texts) assert.deepEqual(findFormatting('src/session/x.ts', text), [], text)
  })
})
