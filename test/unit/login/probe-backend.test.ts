/** What each kind of health check does at a back end, and what it takes for a failure. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { newHealth } from '../../../src/backend/health/health.ts'
import type { Endpoint } from '../../../src/backend/endpoint/endpoint.ts'
import type { Probe } from '../../../src/backend/health/prober.ts'
import type { BackendSettings } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import { probeBackend } from '../../../src/login/probe-backend.ts'
import { asOctets } from '../../../src/octets.ts'
import { Secret } from '../../../src/secret.ts'
import { backend, backendSettings, isCode } from '../backend/fixture.ts'
import { startStore, type Answer } from './login-fixture.ts'

const TEST_USER = { user: 'probe', secret: new Secret(asOctets('secret')) }
const HEALTH = { ...backendSettings().health, testUser: TEST_USER }

const accept: Answer = (line, say) => say(`${line.split(' ')[0] ?? ''} OK done`)

type Play = { answer?: Answer; greeting?: string; signal?: AbortSignal; settings?: Partial<BackendSettings> }

async function probe(
  t: TestContext,
  kind: Probe,
  { answer = accept, greeting, signal = new AbortController().signal, settings = { health: HEALTH } }: Play = {},
) {
  const heard: string[] = []
  const gone = Promise.withResolvers<undefined>()
  const port = await startStore(
    t,
    (line, say, socket) => {
      heard.push(line)
      socket.once('close', () => gone.resolve(undefined))
      answer(line, say, socket)
    },
    greeting,
  )
  const address = { host: '127.0.0.1', ip: '127.0.0.1', port, source: 'address', rank: 0, weight: 1 } as const
  const endpoint: Endpoint = { protocol: 'imap', address, health: newHealth(0), provenMs: 0, checkDueMs: 0 }
  const store = backend({ hosts: ['127.0.0.1'], ports: { imap: port }, forwardIdentity: true, ...settings })
  return { words: await probeBackend(store, endpoint, kind, signal), heard, gone: gone.promise }
}

for (const kind of ['tcp', 'tls'] as const)
  test(`a check by ${kind} is content with a connection, and says nothing`, async (t) => {
    const { words, heard } = await probe(t, kind, { greeting: '' })
    assert.deepEqual([words, heard], [undefined, []])
  })

test('a check by greeting gives the capabilities, and sends no login', async (t) => {
  const { words, heard } = await probe(t, 'greeting')
  assert.deepEqual(words, ['IMAP4REV1', 'SASL-IR', 'AUTH=PLAIN', 'AUTH=SCRAM-SHA-256', 'AUTH=XOAUTH2'])
  assert.deepEqual(
    heard.filter((line) => /AUTHENTICATE|LOGIN /.test(line)),
    [],
  )
})

test('a check by greeting asks for STARTTLS where the back end has it configured', async (t) => {
  const settings = { tls: 'starttls', health: HEALTH } as const
  await assert.rejects(probe(t, 'greeting', { settings }), isCode('backend-no-starttls'))
})

test('a check by login logs the test user in, sends no identity, logs out and closes', async (t) => {
  const { words, heard, gone } = await probe(t, 'login')
  await gone
  assert.equal(words, undefined)
  assert.deepEqual(
    heard.map((line) => line.replace(/^\S+ /, '')),
    [`AUTHENTICATE PLAIN ${Buffer.from('\0probe\0secret').toString('base64')}`, 'CAPABILITY', 'LOGOUT'].filter(
      (line) => line !== 'CAPABILITY',
    ),
  )
})

test('a check by login asks for STARTTLS where the back end has it configured', async (t) => {
  const settings = { tls: 'starttls', health: HEALTH } as const
  await assert.rejects(probe(t, 'login', { settings }), isCode('backend-no-starttls'))
})

test('a check by login fails where the test user is refused, and quotes the refusal', async (t) => {
  const refuse: Answer = (line, say) => say(`${line.split(' ')[0] ?? ''} NO wrong`)
  await assert.rejects(probe(t, 'login', { answer: refuse }), (error: unknown) => {
    assert.ok(isCode('backend-test-user')(error) && error instanceof MuxError)
    assert.match(error.message, /the test user is refused: .*wrong/)
    return true
  })
})

test('a check by login without a test user is a defect', async (t) => {
  await assert.rejects(probe(t, 'login', { settings: {} }), isCode('internal'))
})

for (const kind of ['tcp', 'tls', 'greeting'] as const)
  test(`a check by ${kind} whose time is over ends with the reason`, async (t) => {
    const signal = AbortSignal.abort(new MuxError('backend-timeout', 'too late'))
    await assert.rejects(probe(t, kind, { signal }), /too late/)
  })

test('a check whose time ends while the back end is silent ends with the reason', async (t) => {
  const late = new AbortController()
  const silent: Answer = () => late.abort(new MuxError('backend-timeout', 'too late'))
  await assert.rejects(probe(t, 'login', { answer: silent, signal: late.signal }), /too late/)
})
