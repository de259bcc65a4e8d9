/**
 * A protocol is its folder, its entry in the registry and its dialogues in the table beside it. No other file of src/ names one, and all
 * that depends on the protocol derives from the registry: a third one there is enough for keys, checks, settings, probes, API and TLS.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, test, type TestContext } from 'node:test'
import ts from 'typescript'
import type * as answersModule from '../../../src/admin/answers.ts'
import type * as apiModule from '../../../src/admin/api.ts'
import type * as liveModule from '../../../src/backend/live-backends.ts'
import type * as proberModule from '../../../src/backend/health/prober.ts'
import type * as tableModule from '../../../src/cli/explain-table.ts'
import type * as schemaModule from '../../../src/cli/schema.ts'
import type * as loadModule from '../../../src/config/load.ts'
import type * as certificatesModule from '../../../src/tls/certificates.ts'
import { createReadMemory } from '../../../src/net/lean-socket.ts'
import { PROTOCOL_NAMES, specOf } from '../../../src/protocol/registry.ts'
import { keepLog } from '../backend/fixture.ts'
import { certificate, describeResult, temporaryDirectory } from '../config/fixture.ts'
import { importWithThird } from './with-third-protocol.ts'
import { NO_BLOCKS } from '../admin/no-blocks.ts'
import { NO_ROUTES } from '../admin/no-routes.ts'
import { NO_DRAIN } from '../admin/no-drain.ts'
import { NO_LOG_LEVEL } from '../admin/no-log-level.ts'
import { NO_PARTS } from '../admin/parts.ts'
import { NO_RELEASE } from '../admin/no-release.ts'
import { NO_STATUS } from '../admin/no-status.ts'

const root = join(import.meta.dirname, '../../..')

/** The files that may name a protocol, and what for. */
const NAMING: Readonly<Record<string, string>> = {
  'src/protocol/registry.ts': 'the registry',
  'src/protocol/protocols.ts': 'the dialogues of each protocol',
}

const names: ReadonlySet<string> = new Set(PROTOCOL_NAMES)
const titles = new RegExp(`\\b(${PROTOCOL_NAMES.map((name) => specOf(name).title).join('|')})\\b`)

/** Each place where a file names a protocol: as a text, as a key or variable, or by its title in a longer text. Comments do not count. */
function namesIn(path: string, text: string): string[] {
  const found: string[] = []
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const look = (node: ts.Node): void => {
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)
    const isName = (isText || ts.isIdentifier(node)) && names.has(node.text)
    // A path of a module is a matter of the import law.
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return
    if (isName || (isText && titles.test(node.text)))
      found.push(`${path}:${tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${node.text}`)
    ts.forEachChild(node, look)
  }
  look(tree)
  return found
}

describe('no file of the program but the registry', () => {
  test('names a protocol', () => {
    const others = globSync('src/**/*.ts', { cwd: root }).filter(
      (path) => !(path in NAMING) && !PROTOCOL_NAMES.some((name) => path.startsWith(`src/protocol/${name}/`)),
    )
    assert.ok(others.length > 100)
    assert.deepEqual(
      others.flatMap((path) => namesIn(path, readFileSync(join(root, path), 'utf8'))),
      [],
    )
    for (const path of Object.keys(NAMING))
      assert.ok(namesIn(path, readFileSync(join(root, path), 'utf8')).length > 0, `${path} needs no exception any more`)
  })

  for (const text of [
    "f('imap')",
    'const { pop3 } = ports',
    'x = { imap: 1 }',
    'y = ports.pop3',
    "f('An IMAP server')",
  ]) {
    test(`could name one unseen: ${text}`, () => assert.equal(namesIn('a.ts', text).length, 1))
  }
  for (const text of ["f('imap.example.org')", '// IMAP', "import { imap } from './imap.ts'"]) {
    test(`is blamed for: ${text}`, () => assert.deepEqual(namesIn('a.ts', text), []))
  }
})

type Modules = {
  schema: typeof schemaModule
  load: typeof loadModule
  api: typeof apiModule
  answers: typeof answersModule
  table: typeof tableModule
  live: typeof liveModule
  prober: typeof proberModule
  certificates: typeof certificatesModule
}

describe('a third protocol in the registry', () => {
  let third: Modules

  before(async () => {
    third = {
      schema: (await importWithThird('src/cli/schema.ts')) as Modules['schema'],
      load: (await importWithThird('src/config/load.ts')) as Modules['load'],
      api: (await importWithThird('src/admin/api.ts')) as Modules['api'],
      answers: (await importWithThird('src/admin/answers.ts')) as Modules['answers'],
      table: (await importWithThird('src/cli/explain-table.ts')) as Modules['table'],
      live: (await importWithThird('src/backend/live-backends.ts')) as Modules['live'],
      prober: (await importWithThird('src/backend/health/prober.ts')) as Modules['prober'],
      certificates: (await importWithThird('src/tls/certificates.ts')) as Modules['certificates'],
    }
  })

  const LISTENER = 'name: m, protocol: mumble'

  function load(t: TestContext, listener: string, backend: string, more = '') {
    const directory = temporaryDirectory(t)
    const files = {
      'mailmux.yaml': `listeners: [{${listener}}]\ntls: {certificates: [{cert: cert.pem, key: key.pem}]}\n${more}`,
      'routing.yaml': `backends: {store1: {${backend}}}\nusers: {ann@example.test: store1}\n`,
      ...certificate('mail'),
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
    return describeResult(directory, third.load.loadConfig(join(directory, 'mailmux.yaml'), {}))
  }

  const settingsOf = (...args: Parameters<typeof load>) => {
    const { settings, text } = load(...args)
    assert.equal(text, '')
    assert.ok(settings)
    return settings
  }

  test('has its keys in the schemas, and its name in their descriptions', () => {
    const [main, routing] = (['mailmux', 'routing'] as const).map((which) => third.schema.schemaText(which))
    for (const words of [
      '"idle_mumble"',
      '"mumble_capability"',
      'imap, pop3, managesieve or mumble',
      'mumble 4190',
      'GOTLS',
      'MUMBLE1',
    ])
      assert.ok(main?.includes(words), words)
    for (const words of ['"mumble"', 'The port of Mumble', 'WHOIS (Mumble)', '`_mumble._tcp`', '`_mumbles._tcp`'])
      assert.ok(routing?.includes(words), words)
  })

  test('listens on its own port, for its own idle limit', (t) => {
    const { listeners, limits, routing } = settingsOf(
      t,
      `${LISTENER}, mumble_capability: LOW`,
      'host: 10.0.0.1, mumble: 7',
    )
    assert.deepEqual(
      listeners[0]?.listen.map(({ port }) => port),
      [4190, 4190],
    )
    assert.equal(listeners[0].capability, 'LOW')
    assert.deepEqual(limits.idleMs, { imap: 1_860_000, pop3: 600_000, managesieve: 1_860_000, mumble: 2_700_000 })
    assert.deepEqual(routing.backends.get('store1')?.ports, { mumble: 7 })
  })

  test('has its SRV records under a domain', (t) => {
    const { routing } = settingsOf(t, LISTENER, 'srv: example.test')
    const srv: unknown = routing.backends.get('store1')?.srv
    assert.deepEqual(srv, {
      imap: '_imap._tcp.example.test',
      pop3: '_pop3._tcp.example.test',
      mumble: '_mumble._tcp.example.test',
    })
  })

  for (const { it, listener = LISTENER, backend = 'host: h, mumble: 7', more, says } of [
    { it: 'an unknown protocol', listener: 'name: m, protocol: mumbler', says: 'did you mean "mumble"?' },
    { it: 'a back end without a port', backend: 'host: h', says: 'it needs a port, imap, pop3, managesieve or mumble' },
    { it: 'a protocol that no back end has', backend: 'host: h, imap: 1', says: 'no back end has a port for mumble' },
    { it: 'a back end that is mailmux', backend: 'host: 127.0.0.1, mumble: 4190', says: 'routes to itself' },
    { it: 'a short idle limit', more: 'limits: {idle_mumble: 29m}', says: 'mumbling takes 30m' },
    { it: 'a greeting that says too much', listener: `${LISTENER}, banner: shout`, says: 'no shouting' },
    { it: 'a capability of mailmux', listener: `${LISTENER}, mumble_capability: GOTLS`, says: 'added by mailmux' },
    { it: 'a missing capability', listener: `${LISTENER}, mumble_capability: X`, says: 'LOW must be among them' },
    { it: "another protocol's key", listener: `${LISTENER}, imap_capability: IMAP4rev1`, says: 'it is of IMAP alone' },
  ]) {
    test(`is checked: ${it}`, (t) => {
      const { text } = load(t, listener, backend, more)
      assert.ok(text.includes(says), text)
    })
  }

  test('is an answer and a question of the admin API', async () => {
    const sessions = {
      sessions: () => Promise.resolve({ sessions: [], total: 0 }),
      endSessions: () => Promise.resolve({ ended: 0 }),
    }
    const parts = {
      tokens: () => [],
      explain: ({ protocol }: { protocol?: string | undefined }) =>
        Promise.resolve({ wrong: `asked for ${protocol ?? ''}` }),
      backends: () => Promise.resolve([]),
      instances: () => Promise.reject(new Error('not asked here')),
      ...sessions,
      site: sessions,
      upgrade: () => Promise.reject(new Error('not asked')),
      drain: NO_DRAIN,
      logLevel: NO_LOG_LEVEL,
      release: NO_RELEASE,
      ...NO_STATUS,
      configuration: {
        reload: () => Promise.reject(new Error('not asked here')),
        status: () => ({ file: '', loadedMs: 0 }),
        compare: () => Promise.reject(new Error('not asked here')),
      },
      moves: {
        report: () => true,
        ofInstance: () => Promise.resolve({ moves: [] }),
        ofSite: () => Promise.resolve({ moves: [] }),
      },
      setBackendState: () => Promise.reject(new Error('not asked here')),
      isConfigured: () => true,
      blocks: NO_BLOCKS,
      routes: NO_ROUTES,
      limits: () => Promise.resolve({ limits: [] }),
      traces: NO_PARTS.traces,
      testLogin: () => Promise.resolve({ wrong: '' }),
    }
    const { app: api } = third.api.buildApi(parts, { log: keepLog().log })
    const ask = async (protocol: string) => (await api.request(`/routes/ann?protocol=${protocol}`)).text()
    assert.match(await ask('mumble'), /asked for mumble/)
    assert.match(await ask('gopher'), /protocol: imap, pop3, managesieve or mumble/)
    const session = { id: '1', client: 'c', listener: 'm', protocol: 'mumble', phase: 'login', ageSeconds: 1 }
    third.answers.sessionsAnswer.parse({ sessions: [session], total: 1 })
  })

  test('is explained with the command that sends the client identity to the back end', (t) => {
    const settings = settingsOf(t, LISTENER, 'host: 10.0.0.1, mumble: 7')
    const [listener] = settings.listeners
    assert.ok(listener)
    const { protocol } = listener
    const limits = { logins: 1, waitMs: 1, queue: 1 }
    const lines = third.table.formatExplanation(
      {
        usable: true,
        login: { user: 'ann', protocol, listener: 'm', tls: 'none' },
        steps: [],
        backend: {
          name: 'store1',
          up: true,
          state: 'up',
          stateFrom: 'routing',
          check: 'tcp',
          addresses: [],
          leg: { tls: 'none', proxyHeader: 'none', forwardsIdentity: true },
          load: { sessions: 0, logins: 0, waiting: 0, limits },
        },
      },
      0,
    )
    assert.ok(lines.some((line) => line.includes('by WHOIS, if offered')))
  })

  test('has its addresses looked up and probed', async (t) => {
    const { routing } = settingsOf(t, LISTENER, 'host: 10.0.0.1, mumble: 7, imap: 8')
    const { log } = keepLog()
    const live = third.live.createLiveBackends({
      log,
      metrics: { backendIsUp: () => undefined, backendAddresses: () => undefined },
      noteShortage: () => undefined,
      hasStalled: () => false,
      onLost: () => undefined,
      onRecovered: () => undefined,
    })
    t.after(() => live.close())
    live.reconcile(routing)
    const probed: unknown[] = []
    const [settings] = routing.backends.values()
    assert.ok(settings)
    const prober = third.prober.startProber({
      backends: () => new Map([['store1', { settings, tlsOptions: undefined, readMemory: createReadMemory() }]]),
      live,
      ask: (_, { protocol, address }) => {
        probed.push([protocol, address.port])
        return Promise.resolve([])
      },
      book: { learn: () => undefined, common: () => undefined, version: () => 0 },
      log,
      metrics: { backendProbed: () => undefined },
      noteShortage: () => undefined,
    })
    await prober.probeAll()
    prober.stop()
    assert.deepEqual(probed, [
      ['imap', 8],
      ['mumble', 7],
    ])
  })

  test('has its ALPN name', (t) => {
    const settings = settingsOf(t, `${LISTENER}, tls: implicit`, 'host: 10.0.0.1, mumble: 7')
    const certificates = third.certificates.buildCertificates(settings.tls, settings.listeners, 'secret', 0)
    const choose = certificates.serverOptions.get('m')?.ALPNCallback
    assert.equal(choose?.({ servername: '', protocols: ['imap', 'mumble/1'] }), 'mumble/1')
    assert.equal(choose({ servername: '', protocols: ['mumble', 'imap'] }), undefined)
  })
})
