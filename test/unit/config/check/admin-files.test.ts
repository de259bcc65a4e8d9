/** The file with several tokens for the admin API: its form, its mistakes, and that no message has a token. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmodSync } from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { tokensInForce } from '../../../../src/config/check/admin-files.ts'
import { loadConfig } from '../../../../src/config/load.ts'
import { describeResult, load, loadSettings, MAIN } from '../fixture.ts'

const GOOD = 'k3v9p2k3v9p2k3v9'
const OTHER = 'm4w8q1m4w8q1m4w8'
const digest = (text: string): string => createHash('sha256').update(text).digest('hex')
const MAIN_TOKENS = `${MAIN}admin: {listen: '0.0.0.0:9143', tokens_file: tokens}`

function tokensOf(t: TestContext, tokens: string) {
  const settings = loadSettings(t, { main: MAIN_TOKENS, others: { tokens } })
  return tokensInForce(settings).map((token) => ({ ...token, digest: token.digest.reveal() }))
}

test('has a name, rights and a token or its hash on each line', (t) => {
  const text = `# people\nalice read,operate ${GOOD}\n\n  grafana\tread   sha256:${digest(OTHER).toUpperCase()}\r\n`
  assert.deepEqual(tokensOf(t, text), [
    { name: 'alice', rights: ['read', 'operate'], digest: digest(GOOD) },
    { name: 'grafana', rights: ['read'], digest: digest(OTHER) },
  ])
})

test('lets a token that may operate read too', (t) => {
  assert.deepEqual(tokensOf(t, `prestop operate ${GOOD}`)[0]?.rights, ['read', 'operate'])
})

test('counts beside the one of token_file, which has all rights', (t) => {
  const main = `${MAIN}admin: {token_file: token, tokens_file: tokens}`
  const settings = loadSettings(t, { main, others: { token: 'abc', tokens: `grafana read ${GOOD}` } })
  assert.deepEqual(
    tokensInForce(settings).map(({ name, rights }) => [name, rights]),
    [
      ['token_file', ['read', 'operate']],
      ['grafana', ['read']],
    ],
  )
})

test('reports each mistake with its line, and quotes no token', (t) => {
  for (const [text, reason] of [
    ['', /has no token/],
    ['# nothing\n', /has no token/],
    [`\nalice ${GOOD}`, /line 2: needs a name, rights and a token, and has 2 words/],
    [`alice read ${GOOD} x`, /line 1: .* has 4 words/],
    [`${GOOD}! read alice`, /line 1: the name is not of/],
    [`alice write ${GOOD}`, /line 1: the rights are not read, operate or read,operate/],
    [`alice read,${GOOD} x`, /line 1: the rights are not/],
    [`alice read ${GOOD}!`, /line 1: the token has characters/],
    ['alice read k3v9p2k3v9p2k3v', /line 1: the token is shorter than 16/],
    [`alice read sha256:${GOOD}`, /line 1: the token has characters/],
    [`${GOOD} alice read`, /line 1: the rights are not/],
    [`${GOOD} read alice`, /line 1: the token is shorter than 16/],
    [`${GOOD} read ${OTHER}!`, /line 1: the token has characters/],
    [`${GOOD} read ${OTHER}\n${GOOD} read ${OTHER}`, /line 2: there are two tokens of this name/],
    [`token_file read ${GOOD}`, /line 1: the name token_file is that of/],
    [`alice read ${GOOD}\nalice read ${OTHER}`, /line 2: there are two tokens of this name/],
    [`alice read ${GOOD}\nbob read sha256:${digest(GOOD)}`, /line 2: the token is that of another line/],
    [`x\ny\n`, /line 1: .*; line 2: /],
  ] as const) {
    const { errors } = load(t, { main: MAIN_TOKENS, others: { tokens: text } })
    assert.equal(errors.length, 1, text)
    assert.match(errors[0] ?? '', reason)
    assert.doesNotMatch(errors[0] ?? '', new RegExp(`${GOOD}|${OTHER}|k3v9p2k3v9p2k3v`))
  }
})

test('warns where every user of the machine can read the file', (t) => {
  const { directory, warnings } = load(t, { main: MAIN_TOKENS, others: { tokens: `alice read ${GOOD}` } })
  assert.match(warnings.join('\n'), /every user of this machine can read this file/)
  chmodSync(path.join(directory, 'tokens'), 0o640)
  const again = describeResult(directory, loadConfig(path.join(directory, 'mailmux.yaml'), {}))
  assert.deepEqual([again.warnings, again.errors], [[], []])
})
