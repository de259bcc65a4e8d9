/** `mailmux health`: what it says of mailmux and of each back end that fails. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import { causeOf } from '../../../src/cli/causes.ts'
import { health } from '../../../src/cli/health.ts'
import { freePort } from '../../support/ports.ts'
import { openAdminPort } from './admin-port.ts'

const LEG = { tls: 'none', proxyHeader: 'none', forwardsIdentity: false }
const LOAD = { sessions: 0, logins: 0, waiting: 0, limits: { logins: 20, waitMs: 10_000, queue: 9 } }

type Fault = { state: string; lastError?: string }

const backend = (faults: Fault[], name = 'store1') => ({
  name,
  up: false,
  state: 'up',
  stateFrom: 'routing',
  check: 'greeting',
  addresses: faults.map((fault) => ({
    protocol: 'imap',
    host: 'one.example.test',
    ip: '192.0.2.9',
    port: 143,
    source: 'name',
    sinceMs: 0,
    ...fault,
  })),
  leg: LEG,
  load: LOAD,
})

/** The answers of `/readyz` and of the list of back ends come from one port, which answers both with the same text. */
async function run(t: TestContext, faults: Fault[], { status = 200, json = false } = {}) {
  const { config, terminal, out, errors, asked } = await openAdminPort(t, status, { backends: [backend(faults)] })
  const code = await health({ config, ...(json && { json: true as const }) }, terminal)
  return { code, out, errors, asked }
}

for (const [lastError, state, said] of [
  [
    'backend-refused',
    'down',
    /is down: no program listens on the port \(backend-refused\); next: start the mail server/,
  ],
  [
    'backend-timeout',
    'down',
    /it does not answer in time \(backend-timeout\); next: see whether the mail server hangs/,
  ],
  ['backend-certificate', 'misconfigured', /is misconfigured: its certificate is not trusted.*; next: renew the cert/],
  ['backend-tls-failed', 'down', /the TLS handshake fails \(backend-tls-failed\); next: correct `tls`/],
  ['backend-no-mechanism', 'misconfigured', /does not accept this kind of login .*; next: allow plain-text logins/],
  ['backend-test-user', 'misconfigured', /refuses the login of the test user .*; next: correct `health\.user`/],
  ['backend-garbage', 'down', /its answer is not of this protocol \(backend-garbage\); next: correct the port/],
  ['backend-bye', 'down', /says goodbye in place of a greeting .*; next: read the mail server's log/],
  ['backend-of-a-later-version', 'down', /it fails \(backend-of-a-later-version\); next: docs\/errors\.md/],
] as const)
  test(`names the back end, the protocol, the cause and the next step of ${lastError}`, async (t) => {
    const { code, errors } = await run(t, [{ state, lastError }])
    assert.equal(code, 0, 'mailmux itself serves')
    const [line = '', ...more] = errors
    assert.match(line, /^mailmux health: back end store1, imap at 192\.0\.2\.9:143 \(one\.example\.test\) is /u)
    assert.match(line, said)
    assert.deepEqual(more, [])
  })

test('says nothing of addresses that are up, and names a back end without an address', async (t) => {
  assert.deepEqual((await run(t, [{ state: 'up', lastError: 'backend-refused' }])).errors, [])
  assert.match(
    (await run(t, [])).errors.join(),
    /back end store1: no address is known: .*\(backend-unreachable\); next: /,
  )
})

test('lists the same in JSON, without a line on standard error', async (t) => {
  const { out, errors } = await run(t, [{ state: 'down', lastError: 'backend-refused' }], { json: true })
  const { ready, failing } = JSON.parse(out.join('\n')) as { ready: boolean; failing: object[] }
  const found = { backend: 'store1', protocol: 'imap', host: 'one.example.test', ip: '192.0.2.9', port: 143 }
  assert.equal(ready, true)
  assert.deepEqual(failing, [{ ...found, state: 'down', ...causeOf('backend-refused') }])
  assert.deepEqual(errors, [])
})

test('serves without a list of back ends', async (t) => {
  const { code, out, errors } = await run(t, [], { status: 503 })
  assert.deepEqual([code, out.length, errors], [1, 1, []])
})

test('says where it has looked, and how to start mailmux', async (t) => {
  const { config, terminal, errors } = await openAdminPort(t, 200, {})
  const port = await freePort()
  writeFileSync(config, `listeners: [{name: a, protocol: imap, tls: none}]\nadmin: {listen: '127.0.0.1:${port}'}\n`)
  assert.equal(await health({ config }, terminal), 1)
  assert.match(
    errors.join('\n'),
    /^mailmux health: no mailmux answers at .*127\.0\.0\.1:\d+; start one with: mailmux run -c /,
  )
})
