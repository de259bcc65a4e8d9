/** A configuration in a directory of its own, with real certificates beside it; gone after the test. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { loadConfig, type LoadResult } from '../../../src/config/load.ts'
import { formatProblem } from '../../../src/config/yaml/problems.ts'
import type { Settings } from '../../../src/config/settings.ts'

export const MAIN = `
listeners:
  - {name: imap, protocol: imap}
tls:
  certificates: [{cert: cert.pem, key: key.pem}]
`

export const ROUTING = `
backends:
  store1: {host: 10.0.0.11, imap: 143, pop3: 110}
users:
  alice@example.test: store1
`

/** A main file with one listener of these keys, and more sections after it. */
export function withListener(keys: string, more = 'tls: {certificates: [{cert: cert.pem, key: key.pem}]}'): string {
  return `listeners:\n  - {name: a, protocol: imap, ${keys}}\n${more}\n`
}

type Files = {
  main?: string
  routing?: string
  others?: Record<string, string>
  env?: Record<string, string>
  now?: Date
}

/** `text` holds what `mailmux check` would print about the problems; `errors` and `warnings` the messages alone, with their places. */
export type Loaded = LoadResult & { text: string; errors: string[]; warnings: string[]; directory: string }

/** Loads the files as the only ones of a directory; what is not given is small and sound. */
export function load(t: TestContext, files: Files = {}): Loaded {
  const directory = temporaryDirectory(t)
  const { main = MAIN, routing = ROUTING, others = {}, env = {}, now } = files
  const all: Record<string, string> = {
    'mailmux.yaml': main,
    'routing.yaml': routing,
    ...certificate('mail'),
    ...others,
  }
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(path.join(directory, name), text)
  return describeResult(directory, loadConfig(path.join(directory, 'mailmux.yaml'), env, now))
}

/** Loads without an error, or fails with what was printed. */
export function loadSettings(t: TestContext, files: Files = {}): Settings {
  const { settings, text } = load(t, files)
  if (settings === undefined) throw new Error(text)
  return settings
}

export function describeResult(directory: string, result: LoadResult): Loaded {
  const told = result.problems.map((problem) => ({
    severity: problem.severity,
    lines: formatProblem(problem).map((line) => line.replaceAll(`${directory}/`, '')),
  }))
  const heads = (severity: string): string[] =>
    told.flatMap((one) => (one.severity === severity ? [(one.lines[0] ?? '').replace(`${severity}: `, '')] : []))
  const text = told.flatMap(({ lines }) => lines).join('\n')
  return { ...result, text, errors: heads('error'), warnings: heads('warning'), directory }
}

export function temporaryDirectory(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-config-'))
  t.after(() => fs.rmSync(directory, { recursive: true }))
  return directory
}

const made = new Map<string, Record<'cert.pem' | 'key.pem', string>>()

/** A certificate and its key, made once a process; each label has a pair of its own. Good for two days. */
export function certificate(label: string): Record<'cert.pem' | 'key.pem', string> {
  const known = made.get(label)
  if (known !== undefined) return known
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-cert-'))
  const [cert, key] = [path.join(directory, 'cert.pem'), path.join(directory, 'key.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const subject = ['-subj', `/CN=${label}.example.test`, '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const pair = { 'cert.pem': fs.readFileSync(cert, 'utf8'), 'key.pem': fs.readFileSync(key, 'utf8') }
  fs.rmSync(directory, { recursive: true })
  made.set(label, pair)
  return pair
}
