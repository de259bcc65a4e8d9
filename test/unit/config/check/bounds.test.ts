/** Whatever stands in the files, `check` ends soon, prints little, and finds what no login could ever use. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { check } from '../../../../src/cli/check.ts'
import { formatProblem } from '../../../../src/config/yaml/problems.ts'
import { testCases } from '../cases.ts'
import { certificate, MAIN, ROUTING, temporaryDirectory } from '../fixture.ts'

/** Far above what each takes (under a second), and far below what the quadratic versions took. */
const DEADLINE_MS = 20_000

async function checked(t: TestContext, files: { main?: string; routing?: string }): Promise<string[]> {
  const directory = temporaryDirectory(t)
  const { main = MAIN, routing = ROUTING } = files
  const all: Record<string, string> = { 'mailmux.yaml': main, 'routing.yaml': routing, ...certificate('mail') }
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(path.join(directory, name), text)
  const lines: string[] = []
  const started = performance.now()
  await check(path.join(directory, 'mailmux.yaml'), {}, (line) => lines.push(line.replaceAll(`${directory}/`, '')))
  assert.ok(performance.now() - started < DEADLINE_MS, 'too slow')
  assert.ok(lines.join('\n').length < 64 * 1024, 'too much')
  return lines
}

test('takes a user key of 5 MB for a mistake like another', async (t) => {
  const lines = await checked(t, { routing: `${ROUTING}  ? ${'x'.repeat(5_000_000)}@example.test\n  : store1\n` })
  assert.match(lines[0] ?? '', /^routing\.yaml:6:5: error: longer than 4096 characters$/)
})

for (const [what, yaml] of Object.entries({
  'a value': 'hostname: "LONG"',
  'an unknown key': '? LONG\n: 1',
  'a key that stands twice': 'hostname: x\nhostname: LONG',
  'a banner': 'listeners: [{name: a, protocol: imap, banner: "LONG"}]',
  'a text with a variable': 'hostname: "${LONG}"',
}))
  test(`prints little about ${what} of 5 MB`, async (t) => {
    await checked(t, { main: MAIN + yaml.replace('LONG', 'ab.'.repeat(1_700_000)) })
  })

test('hides passwords in a long line in linear time', () => {
  for (const text of ['redis://'.repeat(40_000), `redis://${'a@'.repeat(160_000)}`, 'x://'.repeat(80_000) + '@']) {
    const started = performance.now()
    const spot = { line: 1, column: text.length / 2, length: 1, text }
    formatProblem({ severity: 'error', file: 'f', spot, message: text })
    assert.ok(performance.now() - started < DEADLINE_MS / 4)
  }
})

test('hides a password wherever the window on a long line begins', () => {
  const text = `url: redis://user:${'hunter2'.repeat(100)}@host ${'x'.repeat(500)}`
  for (let column = 1; column < text.length; column += 7) {
    const [, line = ''] = formatProblem({
      severity: 'error',
      file: 'f',
      spot: { line: 1, column, length: 1, text },
      message: 'no',
    })
    assert.ok(!line.includes('hunter'), `${column}: ${line}`)
  }
})

test('shows the first of 50,000 mistakes, and counts the others', async (t) => {
  const users = Array.from({ length: 50_000 }, (_, index) => `  user${index}@example.test: nowhere\n`).join('')
  const lines = await checked(t, { routing: ROUTING + users })
  assert.match(lines[0] ?? '', /unknown back end "nowhere"/)
  assert.deepEqual(lines.slice(-2), ['and 49900 more errors', '50000 errors'])
})

test('looks for a similar name in linear time', async (t) => {
  const backends = Array.from(
    { length: 500 },
    (_, index) => `  ${`store${index}`.padEnd(64, 'x')}: {host: 10.0.0.11, imap: 143, pop3: 110}\n`,
  ).join('')
  const users = Array.from(
    { length: 20_000 },
    (_, index) => `  user${index}@example.test: ${'z'.repeat(58)}${100_000 + index}\n`,
  ).join('')
  const lines = await checked(t, { routing: `backends:\n${backends}users:\n${users}` })
  assert.equal(lines.at(-1), '20000 errors')
})

test('compares a long list of hosts in linear time', async (t) => {
  const hosts = Array.from({ length: 60_000 }, (_, index) => `h${index}.test`).join(', ')
  const lines = await checked(t, { routing: `backends:\n  store1: {host: [${hosts}], imap: 143}\n` })
  assert.match(lines.join('\n'), /at most 8 hosts/)
})

const user = (name: string): string => `${ROUTING}  "${name}": store1\n`
const AUTH = `${MAIN}directory: {auth_http: {url: 'http://127.0.0.1:9000/'}}\n`
const NO_USERS = 'backends:\n  store1: {host: 10.0.0.11, imap: 143, pop3: 110}\n'

testCases([
  { it: 'a user of 320 octets', routing: user(`${'x'.repeat(307)}@example.test`) },
  {
    it: 'a user of 321 octets',
    routing: user(`${'x'.repeat(308)}@example.test`),
    error: /routing\.yaml:6:3: longer than the 320 octets that a login may name/u,
  },
  {
    it: 'a user of 165 letters that are 330 octets',
    routing: user('\u00fc'.repeat(165)),
    error: /longer than the 320 octets/u,
  },
  { it: 'back ends at places of their own with an auth server', main: AUTH, routing: NO_USERS },
  {
    it: 'back ends by SRV alone with an auth server',
    main: AUTH,
    routing: 'backends:\n  store1: {srv: example.test}\n',
    error: /routing\.yaml:2:17: an auth server names an address and a port, which no back end by srv has/u,
  },
  {
    it: 'two back ends on one host and port with an auth server',
    main: AUTH,
    routing: `${NO_USERS}  store2: {host: 10.0.0.11, imap: 143}\n`,
    error: /routing\.yaml:3:3: at 10\.0\.0\.11 port 143, as store1 is: an auth server could not tell them apart/u,
  },
  {
    it: 'two back ends on one host and port in different spellings with an auth server',
    main: AUTH,
    routing:
      "backends:\n  store1: {host: '2001:DB8::1', imap: 143}\n  store2: {host: [10.0.0.12, '2001:db8:0::1'], imap: 143}\n",
    error: /could not tell them apart/u,
  },
  {
    it: 'a back end whose host is the name of another one with an auth server',
    main: AUTH,
    routing: 'backends:\n  store1: {host: 10.0.0.11, imap: 143}\n  store2: {host: store1, imap: 143}\n',
    error: /at store1 port 143, as store1 is/u,
  },
  {
    it: 'two back ends on one host and different ports with an auth server',
    main: AUTH,
    routing: `${NO_USERS}  store2: {host: 10.0.0.11, imap: 1143, pop3: 1110}\n`,
  },
  {
    it: 'two back ends on one host and port without an auth server',
    routing: ROUTING.replace('users:', '  store2: {host: 10.0.0.11, imap: 143}\nusers:'),
  },
  {
    it: 'a back end by SRV that a user of the routing file has, with an auth server',
    main: AUTH,
    routing: `${NO_USERS}  store2: {srv: example.test}\nusers: {alice@example.test: store2}\n`,
  },
])
