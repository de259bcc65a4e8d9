/** What stands in the files, and how they are called, is printed by `check` without what a terminal obeys. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { check } from '../../../../src/cli/check.ts'
import { MAIN, ROUTING, temporaryDirectory } from '../fixture.ts'

const EVIL = '\u001b[2J\u009b31m\u007f\u0085\u202e\u2066\u200f'
/** The same as an escape of YAML, which makes a key or a value of it. */
const YAML = '\\e[2J\\x9b31m\\x7f\\N\\u202e\\u2066\\u200f'

const MAINS: Record<string, string> = {
  'an unknown key': `${MAIN}"a${YAML}": 1`,
  'an unknown key that is like a known one': `${MAIN}"hostnam${YAML}": 1`,
  'a key that stands twice': `${MAIN}"a${YAML}": 1\n"a${YAML}": 1`,
  'raw characters in a comment beside a mistake': `${MAIN}hostname: [] # ${EVIL.replace('\u0085', '')}`,
  'the name of a file': MAIN.replace('cert.pem', `"${YAML}"`),
  'the name of the routing file': `${MAIN}routing: "${YAML}"`,
  'a value': `${MAIN}workers: "${YAML}"`,
  'a variable': `${MAIN}hostname: "\${${YAML}}"`,
  'a banner': MAIN.replace('protocol: imap', `protocol: imap, banner: "%${YAML}"`),
}
const ROUTINGS: Record<string, string> = {
  'a user': `${ROUTING}  "${YAML}": store1\n`,
  'the back end of a user': `${ROUTING}  bob@example.test: "store${YAML}"\n`,
  'a back end that a mistyped name is like': `backends: {"s${YAML}": {host: a, imap: 1}}\nusers: {bob: "x${YAML}"}\n`,
  'the host of a back end': `backends: {store1: {host: "${YAML}", imap: 1}}\n`,
}

const cases = [
  ...Object.entries(MAINS).map(([what, main]) => ({ what, main, routing: ROUTING })),
  ...Object.entries(ROUTINGS).map(([what, routing]) => ({ what, main: MAIN, routing })),
]
for (const { what, main, routing } of cases)
  test(`prints ${what} without what a terminal obeys`, async (t) => {
    // The directory is part of every line.
    const directory = path.join(temporaryDirectory(t), `d${EVIL}`)
    fs.mkdirSync(directory)
    fs.writeFileSync(path.join(directory, 'mailmux.yaml'), main)
    fs.writeFileSync(path.join(directory, 'routing.yaml'), routing)
    const lines: string[] = []
    assert.equal(await check(path.join(directory, 'mailmux.yaml'), {}, (line) => lines.push(line)), 1)
    assert.ok(lines.length > 0)
    for (const line of lines) assert.doesNotMatch(line, /[^\P{Cc}\t]|[\p{Cf}\p{Zl}\p{Zp}]/u)
  })
