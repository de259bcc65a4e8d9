import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { check, checkInJson } from '../../../src/cli/check.ts'
import type { Finding, ProbeGroup } from '../../../src/inspect/findings.ts'
import { certificate, MAIN, ROUTING, temporaryDirectory } from '../config/fixture.ts'

async function run(
  t: TestContext,
  findings: Finding[],
  { routing = ROUTING, notes = [] as string[], groups = [] as ProbeGroup[], isStrict = false } = {},
) {
  const directory = temporaryDirectory(t)
  for (const [name, text] of Object.entries({ 'mailmux.yaml': MAIN, 'routing.yaml': routing, ...certificate('mail') }))
    writeFileSync(path.join(directory, name), text)
  const lines: string[] = []
  let probes = 0
  const out = (line: string): void => void lines.push(line.replaceAll(`${directory}/`, ''))
  const probe = () => Promise.resolve({ findings, notes, groups, count: probes++ })
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

const tested = (group: string, failed: string[], unclear: string[] = []): ProbeGroup => ({
  group,
  tested: 12,
  failed,
  unclear,
})

test('says what was probed and with which result', async (t) => {
  const many = Array.from({ length: 12 }, (_, index) => `store${index}`)
  const groups = [tested('directory', []), tested('ports', [], ['admin']), tested('back ends, imap', many)]
  const { code, lines } = await run(t, [], { groups })
  assert.equal(code, 0, 'the findings decide')
  assert.deepEqual(lines, [
    'probed directory: 12 tested, all good',
    'probed ports: 12 tested, 1 with a warning: admin',
    `probed back ends, imap: 12 tested, 12 failed: ${many.slice(0, 10).join(', ')} and 2 more`,
    'probe: 36 tested, 12 failed, 1 with a warning',
    'mailmux.yaml: OK (1 listener, 1 back end, 1 user)',
  ])
})

async function runInJson(t: TestContext, routing = ROUTING, findings: Finding[] = []) {
  const directory = temporaryDirectory(t)
  for (const [name, text] of Object.entries({ 'mailmux.yaml': MAIN, 'routing.yaml': routing, ...certificate('mail') }))
    writeFileSync(path.join(directory, name), text)
  const lines: string[] = []
  const out = (line: string): void => void lines.push(line.replaceAll(`${directory}/`, ''))
  const probe = () => Promise.resolve({ findings, notes: ['a note'], groups: [tested('directory', [])] })
  const answer = { file: 'mailmux.yaml', changes: [], restart: ['user'] }
  const code = await checkInJson(path.join(directory, 'mailmux.yaml'), { env: {}, out }, probe, {
    isStrict: false,
    compare(take) {
      take(answer)
      return Promise.resolve(3)
    },
  })
  return { code, answer, found: JSON.parse(lines.join('\n')) as Record<string, unknown> }
}

test('prints one JSON document, with the probe and the comparison', async (t) => {
  const { code, found, answer } = await runInJson(t, ROUTING, [busy])
  assert.equal(code, 3, 'the exit code of the comparison')
  assert.deepEqual(found, {
    ok: true,
    strict: false,
    file: 'mailmux.yaml',
    listeners: 1,
    backends: 1,
    users: 1,
    errors: 0,
    warnings: 1,
    problems: [
      {
        severity: 'warning',
        file: 'mailmux.yaml',
        line: 3,
        column: 5,
        excerpt: ['  - {name: imap, protocol: imap}', `    ${'^'.padEnd(28, '~')}`],
        message: 'it is busy',
      },
    ],
    probe: { groups: [tested('directory', [])], notes: ['a note'] },
    diff: answer,
  })
})

test('lists errors in JSON, and then neither probes nor compares', async (t) => {
  const { code, found } = await runInJson(t, 'backends: {}\nfoo: "postgres://me:secret@host/"\n')
  const { ok, problems, probe, diff } = found
  assert.deepEqual([code, ok, probe, diff], [1, false, undefined, undefined])
  assert.ok((problems as { severity: string; line?: number }[]).some((one) => one.severity === 'error' && one.line))
  assert.doesNotMatch(JSON.stringify(found), /:secret@/u)
})
