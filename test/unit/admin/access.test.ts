/** Who may ask the API for what: tokens with names and rights, and the Unix socket. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorAnswer, type BackendAnswer } from '../../../src/admin/answers.ts'
import { adminWith } from './parts.ts'
import { tokensOf, tokenWith } from './tokens.ts'

const READER = 'a-token-to-read-0'
const OPERATOR = 'a-token-to-operate'
const DRAINER = 'a-token-to-drain-0'
const LOGIN = { user: 'alice', protocol: 'imap', listener: 'imap', tls: 'none' } as const
const TOKENS = [
  tokenWith('grafana', ['read'], READER),
  tokenWith('alice', ['read', 'operate'], OPERATOR),
  tokenWith('prestop', ['operate'], DRAINER),
]

function open(tokens = TOKENS) {
  const refused: string[] = []
  const { app, lines } = adminWith({
    tokens: () => tokens,
    refused: (why) => refused.push(why),
    setBackendState: () => Promise.resolve({ result: 'changed' }),
    backends: () => Promise.resolve([]),
  })
  const socket = { remoteAddress: '192.0.2.1', localAddress: '192.0.2.9', setTimeout: () => undefined }
  const ask = async (method: string, path: string, headers: Record<string, string> = {}, env: object = {}) => {
    const body = method === 'PUT' ? { body: '{"state":"up"}' } : {}
    const url = `http://127.0.0.1:9143/api/v1${path}`
    const response = await app.request(url, { method, headers, ...body }, { incoming: { socket }, ...env })
    const why = errorAnswer.safeParse(await response.json()).data?.error
    return { status: response.status, why, challenge: response.headers.get('www-authenticate') }
  }
  const by = (token: string) => ({ authorization: `Bearer ${token}` })
  const read = (token: string, env?: object) => ask('GET', '/backends', by(token), env)
  const operate = (token: string, env?: object) => ask('PUT', '/backends/store1/state', by(token), env)
  return { ask, read, operate, lines, refused }
}

test('lets each token do what it has the right for', async () => {
  const { read, operate } = open()
  assert.deepEqual([(await read(READER)).status, (await read(OPERATOR)).status], [200, 200])
  assert.deepEqual([(await operate(OPERATOR)).status, (await operate(DRAINER)).status], [200, 200])
})

test('names the right that a token lacks, with 403', async () => {
  const { read, operate, lines, refused } = open()
  assert.deepEqual(await operate(READER), {
    status: 403,
    why: 'this needs the right operate, which the token grafana does not have',
    challenge: 'Bearer realm="mailmux", error="insufficient_scope", scope="operate"',
  })
  assert.equal((await read(DRAINER)).why, 'this needs the right read, which the token prestop does not have')
  assert.deepEqual([lines, refused], [[], ['right', 'right']])
})

test('refuses a wrong token with 401, and counts it', async () => {
  const { ask, read, operate, refused } = open()
  for (const wrong of ['x', `${OPERATOR}x`, OPERATOR.slice(1), OPERATOR.toUpperCase()]) {
    const { status, challenge } = await operate(wrong)
    assert.deepEqual([status, challenge], [401, 'Bearer realm="mailmux", error="invalid_token"'], wrong)
    assert.equal((await read(wrong)).status, 401, wrong)
  }
  assert.deepEqual(refused, Array(8).fill('token'))
  assert.equal((await ask('GET', '/backends')).status, 401)
  assert.equal((await ask('GET', `/backends?access_token=${OPERATOR}`)).status, 401)
  assert.equal((await ask('GET', '/backends', { authorization: `Basic ${OPERATOR}` })).status, 400)
  assert.equal((await ask('GET', '/backends', { authorization: `Bearer ${OPERATOR} ${READER}` })).status, 400)
  assert.deepEqual(refused, Array(8).fill('token'))
})

test('compares a token with all tokens, wherever it stands in the file', async () => {
  for (const tokens of [TOKENS, TOKENS.toReversed()]) {
    const { read } = open(tokens)
    for (const token of [READER, OPERATOR]) assert.equal((await read(token)).status, 200)
  }
})

test('writes the name of the token to the log, and never the token', async () => {
  const { operate, lines } = open()
  await operate(OPERATOR)
  assert.deepEqual(
    lines.map(({ message, peer, token }) => [message, peer, token]),
    [['back end state set by operator', '192.0.2.1', 'alice']],
  )
  assert.doesNotMatch(JSON.stringify(lines), new RegExp(OPERATOR))
})

test('lets every program of this machine read, and none operate, where there is no token', async () => {
  const { ask, operate } = open([])
  assert.equal((await ask('GET', '/backends')).status, 200)
  const { status, why } = await operate(OPERATOR)
  assert.deepEqual(
    [status, why],
    [403, 'this needs the right operate, and so it needs admin.token_file or admin.tokens_file in the configuration'],
  )
})

test('asks for no token over the Unix socket, and says so in the log', async () => {
  for (const tokens of [TOKENS, tokensOf(OPERATOR), []]) {
    const { ask, lines } = open(tokens)
    const env = { isSocket: true, incoming: { socket: { setTimeout: () => undefined } } }
    assert.equal((await ask('GET', '/backends', {}, env)).status, 200)
    assert.equal((await ask('PUT', '/backends/store1/state', {}, env)).status, 200)
    assert.deepEqual(
      lines.map(({ peer, token }) => [peer, token]),
      [['socket', undefined]],
    )
  }
})

// A client that has closed its connection of TCP has no address any more, like one of a Unix socket.
test('does not take a closed connection for one of the Unix socket', async () => {
  const { ask } = open()
  const env = { incoming: { socket: { remoteAddress: undefined, setTimeout: () => undefined } } }
  assert.equal((await ask('PUT', '/backends/store1/state', {}, env)).status, 401)
  assert.equal((await open([]).ask('PUT', '/backends/store1/state', {}, env)).status, 403)
})

test('records the state before and after an order', async () => {
  const back = { name: 'store1', state: 'up' }
  const { app, lines } = adminWith({
    setBackendState: () => Promise.resolve({ result: 'changed' }),
    backends: () => Promise.resolve([back as BackendAnswer]),
    blocks: {
      list: () => ({ blocks: [{ kind: 'user', target: 'mallory' }] }),
      block: () =>
        Promise.resolve({
          result: 'done',
          block: { kind: 'user', target: 'mallory', untilMs: 0 },
          applied: { ended: 0 },
        }),
      unblock: () => Promise.reject(new Error('not asked')),
    },
    drain: {
      status: () => Promise.resolve({ state: 'serving', sessions: 1, withinMs: 0 }),
      order: () => Promise.resolve({ state: 'accepting', sessions: 1, withinMs: 1 }),
    },
    explain: () => Promise.resolve({ usable: true, login: LOGIN, steps: [] }),
    testLogin: () => Promise.resolve({ accepted: false, session: 's1', phase: 'routing', ms: 1 }),
  })
  const env = { isSocket: true, incoming: { socket: { setTimeout: () => undefined } } }
  for (const [method, path, body] of [
    ['PUT', '/backends/store1/state', '{"state":"pause"}'],
    ['POST', '/blocks', '{"target":"mallory","for":"1h"}'],
    ['POST', '/drain', '{"acceptMs":0}'],
    ['POST', '/routes/alice/login', '{"password":"not-in-the-log"}'],
  ] as const) {
    const response = await app.request(`http://localhost/api/v1${path}`, { method, body }, env)
    assert.equal(response.status, 200, path)
  }
  assert.deepEqual(
    lines.map(({ peer, before, state, until, accepted }) => ({ peer, before, state, until, accepted })),
    [
      { before: 'up', state: 'pause' },
      { before: 'without an end', until: '1970-01-01T00:00:00.000Z' },
      { before: 'serving' },
      { accepted: false },
    ].map((line) => ({
      before: undefined,
      state: undefined,
      until: undefined,
      accepted: undefined,
      ...line,
      peer: 'socket',
    })),
  )
  assert.doesNotMatch(JSON.stringify(lines), /not-in-the-log/)
})
