/** What an admin port answers is printed by `explain` without what a terminal obeys: as a table, as JSON and as an error. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import type { RouteAnswer } from '../../../src/admin/answers.ts'
import { explain } from '../../../src/cli/explain.ts'
import { temporaryDirectory } from '../config/fixture.ts'

const EVIL = '\u001b[2J\u009b31m\u007f\u0085\u202e\u2066\u200f\n'

const ANSWER: RouteAnswer = {
  usable: false,
  login: { user: EVIL, protocol: 'imap', listener: EVIL, tls: 'none' },
  steps: [{ asked: 'directory', key: EVIL, outcome: 'found', detail: EVIL }],
  refusal: { reason: 'unavailable', detail: EVIL },
} as unknown as RouteAnswer

/** Runs the command against an admin port that answers so. */
async function run(t: TestContext, status: number, answer: unknown, json?: true) {
  const server = http.createServer((_request, response) => response.writeHead(status).end(JSON.stringify(answer)))
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const config = path.join(temporaryDirectory(t), 'mailmux.yaml')
  const { port } = server.address() as AddressInfo
  fs.writeFileSync(config, `listeners: [{name: a, protocol: imap, tls: none}]\nadmin: {listen: '127.0.0.1:${port}'}\n`)
  const [out, complaints]: [string[], string[]] = [[], []]
  const code = await explain(
    `alice${EVIL}`,
    { config, ...(json && { json }) },
    {
      env: {},
      out: (line) => out.push(line),
      printError: (line) => complaints.push(line),
      readPassword: () => Promise.resolve(undefined),
    },
  )
  for (const line of [...out, ...complaints]) assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  return { code, out, complaints }
}

test('prints a table without them', async (t) => {
  const { code, out, complaints } = await run(t, 200, ANSWER)
  assert.deepEqual([code, complaints], [1, []])
  assert.ok(out.length > 3)
})

test('prints JSON without them, of the same value', async (t) => {
  const { out } = await run(t, 200, ANSWER, true)
  const printed = JSON.parse(out.join('\n')) as RouteAnswer
  assert.equal(printed.login.user, EVIL)
  assert.equal(printed.refusal?.detail, EVIL)
})

test('prints an error without them', async (t) => {
  const { code, complaints } = await run(t, 400, { error: `no ${EVIL}` })
  assert.equal(code, 2)
  assert.match(complaints[0] ?? '', /refuses to answer: no /)
})
