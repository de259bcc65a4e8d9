import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { check } from '../../../src/cli/check.ts'
import { schemaText } from '../../../src/cli/schema.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { certificate, describeResult, MAIN, ROUTING, temporaryDirectory } from './fixture.ts'
import { schemaKeys } from './schema-keys.ts'

const ROOT = new URL('../../../', import.meta.url)

function read(name: string): string {
  return fs.readFileSync(new URL(name, ROOT), 'utf8')
}

for (const pair of ['config', 'config/minimal']) {
  test(`the example in ${pair} loads without a warning`, (t) => {
    const directory = temporaryDirectory(t)
    // A copy, as an example has no certificate beside it.
    for (const name of ['mailmux.yaml', 'routing.yaml'])
      fs.writeFileSync(path.join(directory, name), read(`${pair}/${name}`))
    for (const [name, text] of Object.entries(certificate('mail'))) fs.writeFileSync(path.join(directory, name), text)
    const loaded = describeResult(directory, loadConfig(path.join(directory, 'mailmux.yaml'), {}))
    assert.equal(loaded.text, '')
    assert.ok(loaded.settings)
  })
}

for (const which of ['mailmux', 'routing'] as const) {
  test(`every key of ${which}.yaml is described, stands in the commented example and in the documentation with its default`, () => {
    const manual = read('docs/configuration.md')
    const section = manual.slice(manual.indexOf(`\n## ${which}.yaml`))
    const example = read(`config/${which}.yaml`)
    const keys = schemaKeys(which)
    assert.ok(keys.length > 10)
    for (const key of keys) {
      assert.ok(key.description, `${key.path} has no description`)
      const name = key.path.split('.').at(-1) ?? ''
      assert.match(example, new RegExp(`\\b${name}:`, 'u'), `${key.path} is not in the example`)
      const row = section.split('\n').find((line) => line.startsWith(`| \`${key.path}\` |`))
      assert.ok(row, `${key.path} is not documented`)
      if (key.required) assert.match(row, /\| required \|/u)
      if (key.default === undefined) continue
      const shown = typeof key.default === 'string' ? key.default : JSON.stringify(key.default)
      assert.ok(row.includes(`| \`${shown}\` |`), `${key.path}: the default ${shown} is not documented`)
    }
  })

  test(`every key documented for ${which}.yaml exists`, () => {
    const [, section = ''] = read('docs/configuration.md').split(`\n## ${which}.yaml\n`)
    const rows = section.split('\n## ')[0]?.matchAll(/^\| `([^`]+)` \|/gmu) ?? []
    const known = new Set(schemaKeys(which).map((key) => key.path))
    for (const [, key = ''] of rows) assert.ok(known.has(key), key)
  })

  test(`the JSON Schema of ${which}.yaml refuses unknown keys`, () => {
    const schema = JSON.parse(schemaText(which)) as Record<string, unknown>
    assert.equal(schema.additionalProperties, false)
    assert.match(String(schema.$schema), /2020-12/u)
  })
}

/** The example with every key that stands in a comment brought to life, and `static`, which excludes one of them, taken out. */
function uncomment(text: string, keys: readonly string[]): string {
  const key = new RegExp(`^( *)# ( *(?:- )?(?:'[^']*'|${keys.join('|')}):(?: .*)?)$`, 'gmu')
  return text.replace(/^ *static: .*\n/mu, '').replace(key, '$1$2')
}

/** The text without this key and all that stands under it. */
function without(text: string, key: string): string {
  return text.replace(new RegExp(`^( *)${key}:\\n(?:\\1[ #].*\\n)*`, 'mu'), '')
}

test('every key that stands commented out in the examples is taken as it stands there', (t) => {
  const directory = temporaryDirectory(t)
  const keys = (['mailmux', 'routing'] as const).map((which) =>
    schemaKeys(which).map((key) => key.path.split('.').at(-1) ?? ''),
  )
  const pair = certificate('mail')
  const files = {
    'mailmux.yaml': without(uncomment(read('config/mailmux.yaml'), keys[0] ?? []), 'auth_http'),
    'routing.yaml': uncomment(read('config/routing.yaml'), keys[1] ?? []),
    ...pair,
    'clients-ca.pem': pair['cert.pem'],
    'ca.pem': pair['cert.pem'],
    'client.pem': pair['cert.pem'],
    'client.key': pair['key.pem'],
    'tickets.secret': 't'.repeat(32),
    'master.secret': 'm',
    'probe.secret': 'p',
    'redis.password': 'p',
    'admin.token': 'a',
    'admin.tokens': 'grafana read k3v9p2k3v9p2k3v9\n',
    'allow.txt': '10.1.0.0/16 # office\n',
    'deny.txt': '192.0.2.0/24\n',
  }
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(directory, name), text)
  fs.chmodSync(path.join(directory, 'admin.tokens'), 0o600)
  const { settings, text } = describeResult(directory, loadConfig(path.join(directory, 'mailmux.yaml'), {}))
  assert.equal(text, '')
  assert.deepEqual(
    [settings?.listeners[0]?.clientUser, settings?.listeners.at(-1)?.tls, settings?.directory.kind],
    ['%{email}', 'passthrough', 'redis'],
  )
  const { store1, store2 } = Object.fromEntries(settings?.routing.backends ?? [])
  assert.deepEqual([store1?.master?.user, store2?.pins.length], ['mailmux', 1])
})

test('the auth server of the example is taken as it stands there, in the place of the directory', (t) => {
  const directory = temporaryDirectory(t)
  const keys = schemaKeys('mailmux').map((key) => key.path.split('.').at(-1) ?? '')
  const [, asked = ''] =
    /^( {2}auth_http:\n(?: {2}[ #].*\n)*)/mu.exec(uncomment(read('config/mailmux.yaml'), keys)) ?? []
  assert.notEqual(asked, '')
  write(directory, `${MAIN}directory:\n${asked}`)
  const { settings, text } = describeResult(directory, loadConfig(path.join(directory, 'mailmux.yaml'), {}))
  assert.equal(text, '')
  assert.equal(settings?.directory.kind, 'auth_http')
})

async function run(directory: string): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = []
  const code = await check(path.join(directory, 'mailmux.yaml'), {}, (line) =>
    lines.push(line.replaceAll(`${directory}/`, '')),
  )
  return { code, lines }
}

function write(directory: string, main: string): void {
  const files = { 'mailmux.yaml': main, 'routing.yaml': ROUTING, ...certificate('mail') }
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(directory, name), text)
}

test('check says OK with the numbers of what it found', async (t) => {
  const directory = temporaryDirectory(t)
  write(directory, MAIN)
  assert.deepEqual(await run(directory), { code: 0, lines: ['mailmux.yaml: OK (1 listener, 1 back end, 1 user)'] })
})

test('check prints warnings and still says OK', async (t) => {
  const directory = temporaryDirectory(t)
  write(directory, MAIN.replace('imap}', 'imap, allow_plaintext_auth: true}'))
  const { code, lines } = await run(directory)
  assert.equal(code, 0)
  assert.match(lines[0] ?? '', /^mailmux\.yaml:3:56: warning: /u)
  assert.equal(lines.at(-1), 'mailmux.yaml: OK (1 listener, 1 back end, 1 user, 1 warning)')
})

test('check prints each error with its line and a caret, and their number', async (t) => {
  const directory = temporaryDirectory(t)
  write(directory, `${MAIN}banners: 1\nworkers: 0\n`)
  assert.deepEqual(await run(directory), {
    code: 1,
    lines: [
      'mailmux.yaml:6:1: error: unknown key "banners"',
      'banners: 1',
      '^~~~~~~',
      'mailmux.yaml:7:10: error: must be auto, or a whole number from 1 to 64',
      'workers: 0',
      '         ^',
      '2 errors',
    ],
  })
})

test('check says in one line that the file does not exist', async (t) => {
  const directory = temporaryDirectory(t)
  assert.deepEqual(await run(directory), { code: 1, lines: ['mailmux.yaml: error: this file does not exist'] })
})
