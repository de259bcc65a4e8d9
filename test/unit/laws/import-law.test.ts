/**
 * The laws of src/README.md that a machine can keep: which module may know which, and what is allowed in one place only.
 * The source is read as a syntax tree, so that neither a comment nor a text can break a law, and no spelling can evade one.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import ts from 'typescript'

/** Module to the modules that it may import; `type x` is for types alone. A file right under src/ is a module of its own. */
type Law = Readonly<Record<string, readonly string[]>>

const LAW: Law = {
  answers: [
    'type blocks',
    'inspect',
    'leases',
    'type directory',
    'type login',
    'type session',
    'type trace',
    'type world',
  ],
  main: ['app', 'cli', 'config', 'inspect', 'log-output', 'runtime', 'supervisor', 'version'],
  supervisor: [
    'admin',
    'type answers',
    'type app',
    'blocks',
    'config',
    'directory',
    'instances',
    'leases',
    'limits',
    'listener',
    'type log-output',
    'metrics',
    'resources',
    'routes',
    'runtime',
    'version',
  ],
  app: [
    'answers',
    'backend',
    'blocks',
    'delivery',
    'directory',
    'limits',
    'listener',
    'login',
    'relay',
    'resources',
    'routing',
    'session',
    'trace',
    'worlds',
  ],
  worlds: ['routing', 'type backend', 'type directory', 'type resources', 'version', 'world'],
  instances: ['directory'],
  blocks: ['directory', 'type limits', 'net', 'user-name'],
  leases: ['directory', 'type backend'],
  limits: ['directory', 'net'],
  world: ['backend', 'type directory', 'limits', 'net', 'protocol', 'routing', 'tls'],
  session: [
    'backend',
    'client',
    'limits',
    'login',
    'net',
    'protocol',
    'tls',
    'rendezvous',
    'type relay',
    'type routing',
    'type trace',
    'world',
    'config',
  ],
  trace: ['login', 'net', 'protocol'],
  listener: ['net', 'runtime'],
  delivery: ['type routing', 'type world'],
  tls: [],
  protocol: ['config'],
  'protocol/registry': [],
  routes: ['directory', 'routing', 'user-name'],
  routing: ['directory', 'rendezvous', 'user-name'],
  directory: ['descriptor-shortage', 'user-name'],
  backend: ['descriptor-shortage', 'net', 'rendezvous', 'tls'],
  relay: ['net'],
  net: ['runtime'],
  'net/address': [],
  config: ['net', 'user-name'],
  admin: ['limits'],
  cli: [
    'admin',
    'backend',
    'config',
    'type inspect',
    'directory',
    'instances',
    'move',
    'routes',
    'routing',
    'user-name',
  ],
  inspect: [
    'backend',
    'directory',
    'listener',
    'login',
    'net',
    'session',
    'tls',
    'type protocol',
    'type routing',
    'type user-name',
    'type world',
  ],
  metrics: ['resources'],
  move: ['type directory', 'instances', 'rendezvous', 'user-name'],
  clock: [],
  'descriptor-shortage': [],
  duration: [],
  errors: [],
  log: ['type log-output'],
  'log-limit': [],
  'log-output': [],
  octets: [],
  printable: [],
  secret: [],
  resources: ['descriptor-shortage'],
  rendezvous: [],
  'user-name': [],
  version: [],
  runtime: [],
  login: ['backend', 'limits', 'protocol', 'type directory', 'type routing', 'type user-name', 'type world'],
  client: ['net', 'tls', 'type protocol', 'type world'],
}

/** What every module may import besides. */
const FREE = new Set([
  'clock',
  'duration',
  'errors',
  'log',
  'log-limit',
  'net/address',
  'octets',
  'printable',
  'protocol/registry',
  'secret',
  'type config',
  'type metrics',
])

/** Files inside a module that every module may import, each a module of its own here. */
const LEAVES = new Set(['src/net/address.ts', 'src/protocol/registry.ts'])

/** Files that not every protocol has, by their place in its folder, and why the others need none. */
const WITHOUT_TWIN: Readonly<Record<string, string>> = {
  'imap/arguments.ts': 'literals, which POP3 has none of',
  'imap/commands.ts': 'reads what the client sends for both modes of the watch; POP3 has one mode, in watch.ts',
  'imap/plain-exchange.ts': 'a shortcut to that, by the tag',
  'imap/unanswered.ts': 'commands by their tags, which POP3 has none of',
  'imap/words.ts': 'tags, which POP3 has none of',
  'imap/guard.ts': 'looks for UNAUTHENTICATE; POP3 has no command that leads back before login',
  'imap/identity.ts': 'the command ID; other protocols have XCLIENT',
  'imap/answer.ts': 'untagged responses, which no other protocol has',
  'imap/responses.ts': 'reads what the back end sends for both modes of the watch',
}

/**
 * The files that may read the wall clock, and what for. It steps when it is set, so that a duration, an age or a deadline reckoned by it
 * is wrong, and a check that waits for one may never come.
 */
const WALL_CLOCK: Readonly<Record<string, string>> = {
  'src/clock.ts': 'converts moments of the monotonic clock for the API',
  'src/worlds.ts': 'ticket keys of a day, which instances share',
  'src/log.ts': 'the time of a log line',
  'src/session/serve.ts': 'the date in the banner',
  'src/config/load.ts': 'certificates that are not valid yet or any more',
  'src/directory/remembered/cached-directory.ts':
    'the age of routes that another process has kept; since when an operator drains a back end',
  'src/directory/remembered/snapshot-file.ts': 'the same when it is written',
  'src/directory/redis/marker.ts': 'a date that people read',
  'src/supervisor/reload-result.ts': 'timestamps of a metric and of the API',
  'src/move/journal.ts': 'the time of a line that people read',
  'src/cli/explain.ts': 'moments that the API tells in milliseconds of the epoch',
}

type Source = { path: string; text: string }
type Import = { from: string; to: string; typesOnly: boolean; path: string }

const root = join(import.meta.dirname, '../../..')
const sources: Source[] = globSync('src/**/*.ts', { cwd: root }).map((path) => ({
  path,
  text: readFileSync(join(root, path), 'utf8'),
}))

function parse({ path, text }: Source): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
}

function visit(node: ts.Node, look: (node: ts.Node) => void): void {
  look(node)
  ts.forEachChild(node, (child) => visit(child, look))
}

/** `src/protocol/imap/login.ts` is of the module `protocol`, `src/app.ts` is the module `app`. */
function moduleOf(path: string): string {
  if (LEAVES.has(path)) return path.slice('src/'.length, -'.ts'.length)
  return (path.split('/')[1] ?? '').replace(/\.ts$/, '')
}

/** Every module that a file names: by import or export declaration, by `import()`, by `import('...')` as a type. */
function modulesOf(source: Source): { module: string; typesOnly: boolean }[] {
  const modules: { module: string; typesOnly: boolean }[] = []
  const add = (node: ts.Node | undefined, typesOnly: boolean): void => {
    if (node && ts.isStringLiteralLike(node)) modules.push({ module: node.text, typesOnly })
  }
  visit(parse(source), (node) => {
    if (ts.isImportDeclaration(node)) {
      const clause = node.importClause
      const named = clause?.namedBindings
      const all = named !== undefined && ts.isNamedImports(named) && named.elements.every((one) => one.isTypeOnly)
      const typesOnly =
        clause?.phaseModifier === ts.SyntaxKind.TypeKeyword || (clause !== undefined && !clause.name && all)
      add(node.moduleSpecifier, typesOnly)
    } else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node.arguments[0], false)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true)
  })
  return modules
}

/** The imports that lead from one module to another. */
function importsBetweenRooms(files: readonly Source[]): Import[] {
  return files.flatMap((source) =>
    modulesOf(source)
      .filter(({ module }) => module.startsWith('.'))
      .map(({ module, typesOnly }) => {
        const to = moduleOf(join(dirname(source.path), module))
        return { from: moduleOf(source.path), to, typesOnly, path: source.path }
      })
      .filter(({ from, to }) => from !== to),
  )
}

/** Everything by which the imports and the law differ, in words; nothing where they agree. */
function checkImports(files: readonly Source[], law: Law): string[] {
  const wrong: string[] = []
  const used = new Set<string>()
  for (const { from, to, typesOnly, path } of importsBetweenRooms(files)) {
    if (FREE.has(to) || (typesOnly && FREE.has(`type ${to}`))) continue
    const allowed = law[from] ?? []
    const permission = [typesOnly ? `type ${to}` : to, to].find((one) => allowed.includes(one))
    if (permission === undefined) wrong.push(`${path}: ${from} may not import ${typesOnly ? 'types of ' : ''}${to}`)
    else if (!typesOnly || permission.startsWith('type ')) used.add(`${from} ${permission}`)
  }
  for (const [from, allowed] of Object.entries(law)) {
    if (!files.some(({ path }) => moduleOf(path) === from)) wrong.push(`there is no module ${from}`)
    for (const to of allowed) {
      if (!used.has(`${from} ${to}`)) wrong.push(`${from} does not use its permission to import ${to}`)
    }
  }
  for (const module of new Set(files.map(({ path }) => moduleOf(path)))) {
    if (!(module in law)) wrong.push(`the law does not know the module ${module}`)
  }
  return [...wrong, ...findModuleCycles(files), ...findFileCycles(files)]
}

/** Modules that import each other, as `a -> b -> a`. Imports of types count: such a cycle of types is one module in two places. */
function findModuleCycles(files: readonly Source[]): string[] {
  return findCycles(importsBetweenRooms(files)).map((cycle) => `modules import in a cycle: ${cycle}`)
}

/** Files that import each other, also inside one module. Imports of types count here too. */
function findFileCycles(files: readonly Source[]): string[] {
  const imports = files.flatMap((source) =>
    modulesOf(source)
      .filter(({ module }) => module.startsWith('.'))
      .map(({ module }) => ({ from: source.path, to: join(dirname(source.path), module) })),
  )
  return findCycles(imports).map((cycle) => `files import in a cycle: ${cycle}`)
}

/** @returns each cycle that a depth-first search closes, as `a -> b -> a`; none exactly where there is no cycle */
function findCycles(edges: readonly { from: string; to: string }[]): string[] {
  const next = new Map<string, Set<string>>()
  for (const { from, to } of edges) next.set(from, (next.get(from) ?? new Set()).add(to))
  const done = new Set<string>()
  const cycles: string[] = []
  const walk = (node: string, path: readonly string[]): void => {
    if (path.includes(node)) cycles.push([...path.slice(path.indexOf(node)), node].join(' -> '))
    if (path.includes(node) || done.has(node)) return
    for (const to of next.get(node) ?? []) walk(to, [...path, node])
    done.add(node)
  }
  for (const node of next.keys()) walk(node, [])
  return cycles
}

/** The words in code marks. */
function wordsOf(markdown: string): string[] {
  return [...markdown.matchAll(/`([\w/-]+)`/g)].map(([, word = '']) => word)
}

const MAX_LINES = 300
/** A longer file states in its head why it is not several files. */
const LINES_WITHOUT_REASON = 250
const REASON = 'Over 250 lines:'
const TIMERS = new Set(['setTimeout', 'setInterval', 'setImmediate'])
const NO_SOCKETS = /^(node:)?(net|tls|dgram|http|https|http2|timers)(\/|$)/
const OF_MAIN_ALONE = new Set(['env', 'on', 'once', 'addListener', 'exit'])

/** What one file does that no file, or not this one, may do. `new Redis` is counted by the caller. */
function checkFile(source: Source): string[] {
  const wrong: string[] = []
  const tree = parse(source)
  const module = moduleOf(source.path)
  const report = (node: ts.Node, what: string): void => {
    wrong.push(`${source.path}:${tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${what}`)
  }
  const lines = source.text.trimEnd().split('\n').length
  if (lines > MAX_LINES) report(tree, `${lines} lines; a file has at most ${MAX_LINES}`)
  const hasReason = source.text.includes(REASON)
  if (lines > LINES_WITHOUT_REASON && !hasReason) report(tree, `${lines} lines, and no "${REASON}" in the head`)
  if (lines <= LINES_WITHOUT_REASON && hasReason) report(tree, `${lines} lines need no "${REASON}"`)
  for (const { module: from } of modulesOf(source)) {
    if (module === 'protocol' && NO_SOCKETS.test(from)) report(tree, `protocol/ has no sockets or timers: ${from}`)
    if (module !== 'main' && /^(node:)?process$/.test(from)) report(tree, `only main.ts imports ${from}`)
  }
  for (const statement of tree.statements) {
    if (!ts.isVariableStatement(statement) || statement.declarationList.flags & ts.NodeFlags.Const) continue
    report(statement, 'no module-level state: neither let nor var')
  }
  if (!(source.path in WALL_CLOCK)) {
    for (const node of wallClockReads(tree)) report(node, 'performance.now() for durations, not the wall clock')
  }
  visit(tree, (node) => {
    const call = ts.isCallExpression(node) ? node.expression : undefined
    if (module === 'protocol' && call && ts.isIdentifier(call) && TIMERS.has(call.text)) report(node, 'no timers here')
    if (!ts.isPropertyAccessExpression(node)) return
    const [owner, name] = [node.expression.getText(), node.name.text]
    if (owner === 'console') report(node, 'log through log.ts, print through main.ts')
    if (owner === 'process' && module !== 'main' && OF_MAIN_ALONE.has(name))
      report(node, `only main.ts: process.${name}`)
    if (name === 'pipe' && module !== 'relay') report(node, 'only relay/ joins two sockets')
    if (name === 'removeAllListeners' && ts.isCallExpression(node.parent) && node.parent.arguments.length === 0)
      report(node, 'name the event: other modules may listen on the same emitter')
  })
  return wrong
}

/** `Date.now`, `new Date()` and `Date()`. A date that is made of a given moment is none. */
function wallClockReads(tree: ts.SourceFile): ts.Node[] {
  const reads: ts.Node[] = []
  visit(tree, (node) => {
    if (ts.isPropertyAccessExpression(node) && node.getText() === 'Date.now') reads.push(node)
    const makes = ts.isNewExpression(node) || ts.isCallExpression(node)
    if (makes && node.expression.getText() === 'Date' && (node.arguments?.length ?? 0) === 0) reads.push(node)
  })
  return reads
}

/** The files that make a client of Redis, once for each, with its class. */
function redisMakers(files: readonly Source[]): string[] {
  const makers: string[] = []
  for (const source of files) {
    visit(parse(source), (node) => {
      const made = ts.isNewExpression(node) ? node.expression.getText() : ''
      if (/^(Redis\.)?(Redis|Cluster)$/.test(made)) makers.push(`${source.path} ${made}`)
    })
  }
  return makers
}

describe('the program', () => {
  test('imports as the law says, without unused permissions and without cycles of modules or files', () => {
    assert.deepEqual(checkImports(sources, LAW), [])
  })

  test('has its law in src/README.md as it is here', () => {
    const [, section = ''] = readFileSync(join(root, 'src/README.md'), 'utf8').split('\n## Import law\n')
    const told: [string, string[]][] = []
    for (const line of section.split('\n## ')[0]!.split('\n')) {
      const [, from = '', to = ''] = /^\| (`.*?`|every module) \| (.*) \|$/.exec(line) ?? []
      const [values = '', types = ''] = to.split('types of')
      const modules = [...wordsOf(values), ...wordsOf(types).map((module) => `type ${module}`)].sort()
      for (const module of from === 'every module' ? ['every module'] : wordsOf(from)) told.push([module, modules])
    }
    const sorted = Object.entries(LAW).map(([module, allowed]) => [module, [...allowed].sort()])
    assert.deepEqual(Object.fromEntries(told), Object.fromEntries([...sorted, ['every module', [...FREE].sort()]]))
  })

  test('keeps the invariants in every file', () => {
    assert.ok(sources.length > 20, 'the sources are not where they were')
    assert.deepEqual(sources.flatMap(checkFile), [])
  })

  test('reads the wall clock in the files that are named here with the reason, and in no others', () => {
    const reading = sources.filter((source) => wallClockReads(parse(source)).length > 0).map(({ path }) => path)
    assert.deepEqual(reading.sort(), Object.keys(WALL_CLOCK).sort())
  })

  test('makes a client of Redis in one place', () => {
    const place = 'src/directory/redis/connection.ts'
    assert.deepEqual(redisMakers(sources), [`${place} Redis`, `${place} Cluster`])
  })

  test('has the same files for every protocol, except those that are named here with the reason', () => {
    const all = sources.flatMap(({ path }) =>
      path.startsWith('src/protocol/') ? [path.slice('src/protocol/'.length)] : [],
    )
    const filesOf = (protocol: string) =>
      all
        .filter((path) => dirname(path) === protocol && !(path in WITHOUT_TWIN))
        .map((path) => path.split('/').at(-1)?.replace(protocol, '<protocol>'))
        .sort()
    const protocols = new Set(all.map((path) => dirname(path)).filter((folder) => folder !== '.'))
    assert.ok(protocols.has('imap') && protocols.has('pop3'))
    for (const protocol of protocols) assert.deepEqual(filesOf(protocol), filesOf('imap'), protocol)
    for (const path of Object.keys(WITHOUT_TWIN)) assert.ok(all.includes(path), `${path} needs no exception any more`)
  })
})

describe('the check of imports', () => {
  const law: Law = { app: ['net'], net: [] }
  const app = { path: 'src/app.ts', text: "import { a } from './net/a.ts'" }
  const net = { path: 'src/net/a.ts', text: 'export const a = 1' }
  const check = (net: string, also: Law = {}) =>
    checkImports([app, { path: 'src/net/a.ts', text: net }], { ...law, ...also })

  test('has nothing to say where the law is kept', () => {
    assert.deepEqual(checkImports([app, net], law), [])
    assert.deepEqual(check("import { MuxError } from '../errors.ts'"), [])
    assert.deepEqual(check("import type { Settings } from '../config/settings.ts'"), [])
    assert.deepEqual(check("// import { x } from '../relay/relay.ts'\nconst text = \"import '../relay/relay.ts'\""), [])
  })

  for (const text of [
    "import { x } from '../relay/relay.ts'",
    "import '../relay/relay.ts'",
    "export * from '../relay/relay.ts'",
    "const x = await import('../relay/relay.ts')",
    "import x, { type Y } from '../relay/relay.ts'",
  ]) {
    test(`finds a forbidden import: ${text}`, () => {
      assert.deepEqual(check(text), ['src/net/a.ts: net may not import relay'])
    })
  }

  test('lets a permission for types be used for types alone', () => {
    const types = { net: ['type relay'] }
    for (const text of [
      "import type { X } from '../relay/relay.ts'",
      "import { type X, type Y } from '../relay/relay.ts'",
      "export type { X } from '../relay/relay.ts'",
      "type X = import('../relay/relay.ts').X",
    ]) {
      assert.deepEqual(check(text), ['src/net/a.ts: net may not import types of relay'])
      assert.deepEqual(check(text, types), [])
      // The permission for values is one that nobody uses here.
      assert.deepEqual(check(text, { net: ['relay'] }), ['net does not use its permission to import relay'])
    }
    assert.deepEqual(check("import { type X, y } from '../relay/relay.ts'", types), [
      'src/net/a.ts: net may not import relay',
      'net does not use its permission to import type relay',
    ])
  })

  test('does not take values of config or metrics for types', () => {
    assert.deepEqual(check("import { loadConfig } from '../config/load.ts'"), [
      'src/net/a.ts: net may not import config',
    ])
  })

  test('finds a permission that no file uses any more', () => {
    assert.deepEqual(checkImports([{ ...app, text: '' }, net], law), ['app does not use its permission to import net'])
  })

  test('finds modules that only the law or only the program has', () => {
    assert.deepEqual(checkImports([app, net], { ...law, relay: [] }), ['there is no module relay'])
    assert.deepEqual(checkImports([app, net, { path: 'src/utils/x.ts', text: '' }], law), [
      'the law does not know the module utils',
    ])
  })

  test('finds a cycle of modules, even of permitted imports and of types', () => {
    assert.deepEqual(check("import type { App } from '../app.ts'", { net: ['type app'] }), [
      'modules import in a cycle: app -> net -> app',
      'files import in a cycle: src/app.ts -> src/net/a.ts -> src/app.ts',
    ])
  })

  test('finds a cycle of modules that no cycle of files closes', () => {
    const inner = { path: 'src/net/inner.ts', text: "import { app } from '../app.ts'" }
    assert.deepEqual(checkImports([app, net, inner], { ...law, net: ['app'] }), [
      'modules import in a cycle: app -> net -> app',
    ])
  })

  for (const text of [
    "import { c } from './inner/c.ts'",
    "import type { C } from './inner/c.ts'",
    "export { c } from './inner/c.ts'",
    "type C = import('./inner/c.ts').C",
    "const c = import('./inner/c.ts')",
  ]) {
    test(`finds a cycle of files inside a module: ${text}`, () => {
      const b = { path: 'src/net/b.ts', text }
      const c = { path: 'src/net/inner/c.ts', text: "import type { A } from '../a.ts'" }
      const files = [app, { path: 'src/net/a.ts', text: "import { b } from './b.ts'" }, b, c]
      assert.deepEqual(checkImports(files, law), [
        'files import in a cycle: src/net/a.ts -> src/net/b.ts -> src/net/inner/c.ts -> src/net/a.ts',
      ])
      assert.deepEqual(checkImports(files.slice(0, 3), law), [])
    })
  }

  test('finds a file that imports itself', () => {
    assert.deepEqual(check("import type { a } from './a.ts'"), [
      'files import in a cycle: src/net/a.ts -> src/net/a.ts',
    ])
  })
})

describe('the check of a file', () => {
  const breaks: [string, string, RegExp][] = [
    [`// ${REASON} one list.${'\nf()'.repeat(300)}`, 'src/net/a.ts', /301 lines; a file has at most 300/],
    ['f()\n'.repeat(251), 'src/net/a.ts', /251 lines, and no "Over 250 lines:"/],
    [`// ${REASON} one list.`, 'src/net/a.ts', /1 lines need no/],
    ['let count = 0', 'src/net/a.ts', /module-level/],
    ['export var count = 0', 'src/net/a.ts', /module-level/],
    ['const home = process.env.HOME', 'src/app.ts', /process\.env/],
    ["process.on('SIGHUP', stop)", 'src/app.ts', /process\.on/],
    ["import { env } from 'node:process'", 'src/app.ts', /node:process/],
    ["console.log('hello')", 'src/app.ts', /log through/],
    ['socket.removeAllListeners()', 'src/net/a.ts', /name the event/],
    ['client.pipe(backend)', 'src/session/serve.ts', /only relay/],
    ["import type { Socket } from 'node:net'", 'src/protocol/imap/login.ts', /no sockets/],
    ["import tls from 'tls'", 'src/protocol/imap/login.ts', /no sockets/],
    ['const age = Date.now() - since', 'src/backend/health/prober.ts', /wall clock/],
    ['const clock = { nowMs: Date.now }', 'src/backend/health/prober.ts', /wall clock/],
    ['const now = new Date()', 'src/relay/relay.ts', /wall clock/],
    ['const f = () => setTimeout(g, 1000)', 'src/protocol/imap/login.ts', /no timers/],
  ]
  for (const [text, path, expected] of breaks) {
    test(`reports: ${text.slice(0, 60)}`, () => {
      const wrong = checkFile({ path, text })
      assert.equal(wrong.length, 1)
      assert.match(wrong[0]!, expected)
    })
  }

  test('lets each thing be where it belongs', () => {
    for (const [path, text] of [
      ['src/main.ts', "process.on('SIGTERM', stop)\nconst home = process.env.HOME"],
      ['src/relay/relay.ts', 'client.pipe(backend)'],
      ['src/relay/relay.ts', 'const end = new Date(ms); const passed = performance.now() - start'],
      ['src/cli/explain.ts', 'const now = Date.now()'],
      ['src/net/a.ts', "socket.removeAllListeners('data')\nfunction f() { let n = 0; setTimeout(f, n) }"],
      ['src/protocol/sasl.ts', '// setTimeout(f); console.log(process.env)\nconst TABLE = new Map()'],
      ['src/net/b.ts', 'f()\n'.repeat(250)],
      ['src/net/b.ts', `// ${REASON} one list.${'\nf()'.repeat(299)}`],
    ] as const) {
      assert.deepEqual(checkFile({ path, text }), [])
    }
  })

  test('counts each client of Redis', () => {
    const text = 'const a = new Redis(url)\nconst b = new Redis.Cluster([])\nconst c = new Cluster([])'
    assert.equal(redisMakers([{ path: 'src/routing/a.ts', text }]).length, 3)
  })
})
