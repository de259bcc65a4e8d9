import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { check } from '../../../src/cli/check.ts'
import type { Finding } from '../../../src/inspect/findings.ts'
import { certificate, MAIN, ROUTING, temporaryDirectory } from '../config/fixture.ts'

async function run(
  t: TestContext,
  findings: Finding[],
  { routing = ROUTING, notes = [] as string[], isStrict = false } = {},
) {
  const directory = temporaryDirectory(t)
  for (const [name, text] of Object.entries({ 'mailmux.yaml': MAIN, 'routing.yaml': routing, ...certificate('mail') }))
    writeFileSync(path.join(directory, name), text)
  const lines: string[] = []
  let probes = 0
  const out = (line: string): void => void lines.push(line.replaceAll(`${directory}/`, ''))
  const probe = () => Promise.resolve({ findings, notes, count: probes++ })
  const code = await check(path.join(directory, 'mailmux.yaml'), {}, out, probe, { isStrict })
  return { code, lines, probes }
}

const dead: Finding = { severity: 'error', message: 'it is away', which: 'routing', path: ['backends', 'store1'] }
const busy: Finding = { severity: 'warning', message: 'it is busy', which: 'main', path: ['listeners', 0, 'listen'] }

test('shows what a probe finds as it shows mistakes, those of the main file first', async (t) => {
  const { code, lines } = await run(t, [dead, busy], { notes: ['in use: port 143'] })
  assert.deepEqual(lines, [
    'mailmux.yaml:3:5: warning: it is busy',
    '  - {name: imap, protocol: imap}',
    `    ${'^'.padEnd(28, '~')}`,
    'routing.yaml:3:3: error: it is away',
    '  store1: {host: 10.0.0.11, imap: 143, pop3: 110}',
    '  ^~~~~~',
    'in use: port 143',
    '1 error, 1 warning',
  ])
  assert.equal(code, 1)
})

test('is content with warnings', async (t) => {
  const { code, lines } = await run(t, [busy])
  assert.equal(code, 0)
  assert.equal(lines.at(-1), 'mailmux.yaml: OK (1 listener, 1 back end, 1 user, 1 warning)')
})

test('probes nothing while the files have errors', async (t) => {
  const { code, probes } = await run(t, [], { routing: 'backends: {}\nfoo: 1\n' })
  assert.deepEqual([code, probes], [1, 0])
})

test('takes warnings for errors with --strict', async (t) => {
  const { code, lines } = await run(t, [busy], { isStrict: true })
  assert.equal(code, 1)
  assert.deepEqual(lines.slice(-2), ['0 errors, 1 warning', '--strict: warnings are errors'])
  assert.equal((await run(t, [], { isStrict: true })).code, 0)
})
