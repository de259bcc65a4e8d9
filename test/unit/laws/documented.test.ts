/** The documents have each error code, reply, log line, series and make target, and none that does not exist any more. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import ts from 'typescript'
import { MECHANISMS } from '../../../src/config/settings.ts'
import { ERRORS } from '../../../src/errors.ts'
import { createInstanceMetrics } from '../../../src/metrics/instance-metrics.ts'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { createRegistry } from '../../../src/metrics/readings.ts'
import * as imap from '../../../src/protocol/imap/replies.ts'
import * as pop3 from '../../../src/protocol/pop3/replies.ts'
import { protocols } from '../../../src/protocol/protocols.ts'
import type { Goodbye, Refusal } from '../../../src/protocol/protocol.ts'
import type { RelayCause } from '../../../src/relay/relays.ts'
import type { Phase } from '../../../src/login/login.ts'

const root = join(import.meta.dirname, '../../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** The cells of every table row whose first cell is one word in code marks, under the heading given or anywhere. */
function rowsOf(markdown: string, heading?: string): string[][] {
  const [, section = ''] = heading === undefined ? ['', markdown] : markdown.split(`\n## ${heading}\n`)
  return section
    .split('\n')
    .filter((line) => /^\| `[\w-]+` \|/.test(line))
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}

/** Every text in the arguments of the calls for which `isAsked` holds, in the order of the source. */
function textsIn(path: string, isAsked: (callee: string) => boolean): string[][] {
  const calls: string[][] = []
  const collect = (node: ts.Node, texts: string[]): void => {
    if (ts.isStringLiteralLike(node)) texts.push(node.text)
    ts.forEachChild(node, (child) => collect(child, texts))
  }
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && isAsked(node.expression.getText())) {
      const texts: string[] = []
      for (const argument of node.arguments) collect(argument, texts)
      calls.push(texts)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true))
  return calls
}

const bare = (cell = ''): string => cell.replaceAll('`', '')

describe('docs/errors.md', () => {
  const page = read('docs/errors.md')

  test('has every code once, in the order of the source, with its side and whether to try again', () => {
    const documented = rowsOf(page, 'Every code').map(([code, side, again]) => [bare(code), side, again])
    const declared = Object.entries(ERRORS).map(([code, { side, retryable }]) => [code, side, retryable ? 'yes' : 'no'])
    assert.deepEqual(documented, declared)
  })

  test('has every answer that clients read, word for word', () => {
    // Records, so that the compiler asks for each new member here.
    const reasons: Record<Exclude<Refusal['reason'], 'passed-on'>, true> = {
      'authentication-failed': true,
      'authorization-failed': true,
      disabled: true,
      unavailable: true,
      misconfigured: true,
      'privacy-required': true,
      cancelled: true,
      'too-many-sessions': true,
      'too-many-logins': true,
    }
    const goodbyes: Record<Goodbye, true> = {
      'login-timeout': true,
      'too-many-connections': true,
      'not-allowed': true,
      'over-limit': true,
      'line-too-long': true,
      'too-many-bad-commands': true,
      refused: true,
      'shutting-down': true,
      idle: true,
      moved: true,
      drained: true,
      rebalanced: true,
      kicked: true,
      disabled: true,
      paused: true,
      'on-hold': true,
      internal: true,
    }
    for (const reason of Object.keys(reasons) as (keyof typeof reasons)[]) {
      const row = rowsOf(page, 'What mail clients are told').find(([first]) => bare(first) === reason)
      assert.deepEqual(row?.slice(1, 3).map(bare), [imap.refusalReply({ reason }), pop3.refusalReply({ reason })])
    }
    for (const why of Object.keys(goodbyes) as Goodbye[]) {
      // Idle is what a session ends for, never the time before it: POP3 has no word for that.
      const said = why === 'idle' ? protocols.pop3.unaskedGoodbye.idle.trim() : pop3.goodbyeReply(why)
      const cell = said === '' ? 'nothing' : `\`${said}\``
      assert.ok(page.includes(`| \`${imap.goodbyeReply(why)}\` | ${cell} |`), why)
    }
  })
})

describe('docs/protocols.md', () => {
  const page = read('docs/protocols.md')

  for (const protocol of ['imap', 'pop3'] as const) {
    test(`has every answer of ${protocol} before login, word for word`, () => {
      const texts = textsIn(`src/protocol/${protocol}/login.ts`, (callee) =>
        /^(this\.#)?(bad|reply|client\.write)$/.test(callee),
      )
      const sentences = texts.flat().filter((text) => /^[^[$]+ [^[$]+$/.test(text.trim()))
      assert.ok(sentences.length > 10)
      for (const text of sentences) assert.ok(page.includes(text.replace(/\r\n$/, '').trim()), text)
    })
  }

  test('has a row for every mechanism', () => {
    const [, section = ''] = page.split('\n## Mechanisms\n')
    for (const mechanism of MECHANISMS)
      assert.match(section.split('\n## ')[0] ?? '', new RegExp(`^\\| .*${mechanism}`, 'm'))
  })
})

describe('docs/logs.md', () => {
  const page = read('docs/logs.md')

  test('has every sentence of the log', () => {
    const said = globSync('src/**/*.ts', { cwd: root })
      .flatMap((path) => textsIn(path, (callee) => /^log\.(debug|info|warn|error)$/.test(callee)))
      .map((texts) => texts.at(-1) ?? '')
    assert.ok(said.length > 10)
    for (const sentence of said) assert.ok(page.includes(`\`${sentence}\``), sentence)
  })

  test('has every phase, and every cause for which a session ends', () => {
    const phases: Record<Phase, true> = {
      'proxy-header': true,
      'client-hello': true,
      tls: true,
      login: true,
      routing: true,
      waiting: true,
      connecting: true,
      'replaying-login': true,
      relaying: true,
    }
    const causes: Record<RelayCause, true> = {
      'client-closed': true,
      'backend-closed': true,
      'client-reset': true,
      'backend-reset': true,
      idle: true,
      'half-closed-too-long': true,
      shutdown: true,
      'shutdown-deadline': true,
      moved: true,
      drained: true,
      rebalanced: true,
      kicked: true,
      disabled: true,
      'client-unauthenticate': true,
      'client-ambiguous': true,
    }
    for (const word of [...Object.keys(phases), ...Object.keys(causes)]) assert.ok(page.includes(`\`${word}\``), word)
  })
})

describe('docs/metrics.md', () => {
  const page = read('docs/metrics.md')
  const source =
    read('src/metrics/instance-metrics.ts') +
    read('src/metrics/metrics.ts') +
    read('src/metrics/limit-counter.ts') +
    read('src/metrics/login-waits.ts') +
    read('src/metrics/shortage-counter.ts') +
    read('src/metrics/delivery-counter.ts')

  test('has every series once, with its kind and its labels', async () => {
    const registry = createRegistry(() => 0)
    createInstanceMetrics(registry, '0.0.0')
    createMetrics(registry)
    const exposed = await registry.metrics()
    const declared = [...exposed.matchAll(/^# TYPE (mailmux_\w+) (\w+)$/gm)].map(([, name = '', kind = '']) => {
      // The labels of a series that has not happened yet are nowhere but in its declaration.
      const declaration = source.split(`name: '${name}'`)[1]?.split('})')[0] ?? ''
      const labels = /labelNames: \[(.*?)\]/s.exec(declaration)?.[1]?.match(/\w+/g) ?? []
      return [name, kind, labels.join(', ')]
    })
    assert.ok(declared.length > 10)
    const documented = rowsOf(page).map(([name, kind, labels]) => [bare(name), kind, bare(labels)])
    assert.deepEqual(documented, declared)
  })

  test('has a query for every series, and none for what does not exist', () => {
    const [, queries = ''] = page.split('\n## Questions and their queries\n')
    const asked = new Set(
      [...queries.matchAll(/mailmux_\w+/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, '')),
    )
    assert.deepEqual(
      [...asked].sort(),
      rowsOf(page)
        .map(([name]) => bare(name))
        .sort(),
    )
  })
})

describe('the Makefile', () => {
  const makefile = read('Makefile')
  const rules = [...makefile.matchAll(/^([a-z][a-z-]*):(?!=)(.*)$/gm)].map(([, target = '', rest = '']) => ({
    target,
    rest,
  }))

  test('lists every target in `make help`, except those that are only a step of another', () => {
    const { MAKEFLAGS: _flags, MAKELEVEL: _level, ...env } = process.env
    const help = execFileSync('make', ['--no-print-directory', 'help'], { cwd: root, env, encoding: 'utf8' })
    const told = [...help.matchAll(/^ +make ([a-z-]+) +\S/gm)].map(([, target]) => target)
    const isStep = (target: string) => rules.some(({ rest }) => rest.split('##')[0]?.split(/\s+/).includes(target))
    assert.ok(rules.length > 5)
    for (const { target } of rules) assert.ok(told.includes(target) || isStep(target), `make ${target}`)
    for (const promised of ['demo', 'test', 'check', 'run', 'build', 'lint', 'docker']) {
      assert.ok(told.includes(promised), `make ${promised}`)
    }
  })

  test('has every target that a document names', () => {
    for (const path of globSync(['*.md', 'docs/*.md', 'src/README.md', 'test/**/README.md'], { cwd: root })) {
      for (const [, target] of read(path).matchAll(/`(?:[A-Z]+=\w+ )?make ([a-z-]+)/g)) {
        assert.ok(
          rules.some((rule) => rule.target === target),
          `${path}: make ${target}`,
        )
      }
    }
  })
})

test('links in the documents lead to files that are there', () => {
  for (const path of globSync(['*.md', 'docs/*.md', 'src/README.md', 'test/**/README.md'], { cwd: root })) {
    for (const [, target = ''] of read(path).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
      assert.ok(existsSync(join(root, dirname(path), target)), `${path}: ${target}`)
    }
  }
})

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(path: string): string[] {
  const text = read(path).replace(/^```.*?^```/gms, '')
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
}

test('links to a section, in the documents and in messages, lead to its heading', () => {
  for (const path of globSync(['*.md', 'docs/*.md', 'src/README.md', 'test/**/README.md'], { cwd: root })) {
    for (const [, target = '', anchor = ''] of read(path).matchAll(/\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)/g)) {
      const page = target === '' ? path : join(dirname(path), target)
      if (page.endsWith('.md')) assert.ok(anchorsOf(page).includes(anchor), `${path}: ${target}#${anchor}`)
    }
  }
  for (const path of globSync('src/**/*.ts', { cwd: root })) {
    for (const [, page = '', anchor = ''] of read(path).matchAll(/(docs\/[\w-]+\.md)#([\w-]+)/g))
      assert.ok(anchorsOf(page).includes(anchor), `${path}: ${page}#${anchor}`)
  }
})
