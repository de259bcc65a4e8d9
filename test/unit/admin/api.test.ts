/** The API without a socket: its authorisation, its paths, and that every refusal is JSON with a reason. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildAdmin } from '../../../src/admin/admin.ts'
import { errorAnswer, loginAnswer, type RouteAnswer, type LoginTestAnswer } from '../../../src/admin/answers.ts'
import { Unavailable, type ApiParts, type RouteQuestion } from '../../../src/admin/api.ts'
import { keepLog } from '../backend/fixture.ts'
import { NO_PARTS } from './parts.ts'
import { tokensOf } from './tokens.ts'

const TOKEN = 'open-sesame'
const ANSWER: RouteAnswer = {
  usable: true,
  login: { user: 'alice', protocol: 'imap', listener: 'imap', tls: 'none' },
  steps: [],
}

const TRIAL: LoginTestAnswer = { accepted: true, session: 'try-1', phase: 'replaying-login', ms: 5 }

function open(changes: Partial<ApiParts> = {}) {
  const asked: RouteQuestion[] = []
  const tried: [user: string, password: string][] = []
  const { log, lines } = keepLog()
  const sessions = {
    sessions: () => Promise.resolve({ sessions: [], total: 0 }),
    endSessions: () => Promise.resolve({ ended: 0 }),
  }
  const api: ApiParts = {
    ...NO_PARTS,
    tokens: () => [],
    explain: (question) => {
      asked.push(question)
      return Promise.resolve(ANSWER)
    },
    backends: () => Promise.resolve([]),
    instances: () => Promise.resolve({ instances: [], scope: 'instance', why: 'the directory is not Redis' }),
    ...sessions,
    site: { ...sessions, ...changes },
    moves: {
      report: () => true,
      ofInstance: () => Promise.resolve({ moves: [] }),
      ofSite: () => Promise.resolve({ moves: [] }),
    },
    setBackendState: () => Promise.resolve({ result: 'changed' }),
    limits: () => Promise.resolve({ limits: [] }),
    testLogin: (question, password) => {
      tried.push([question.user, password.reveal()])
      return Promise.resolve(TRIAL)
    },
    ...changes,
  }
  const metrics = { render: () => Promise.resolve(''), contentType: 'text/plain' }
  const app = buildAdmin({ notReady: () => undefined, metrics, api, hosts: new Set(['mux.example.test']), log })
  const get = async (path: string, headers: Record<string, string> = {}, host = 'http://127.0.0.1:9143') => {
    const response = await app.request(`${host}${path}`, { headers })
    assert.equal(response.headers.get('access-control-allow-origin'), null)
    const json: unknown = await response.json()
    return { status: response.status, json, headers: response.headers }
  }
  /** The words of a refusal. */
  const refused = async (status: number, ...what: Parameters<typeof get>): Promise<string> => {
    const answer = await get(...what)
    assert.equal(answer.status, status, JSON.stringify(answer.json))
    return errorAnswer.parse(answer.json).error
  }
  /** Sends a body, from this machine unless `socket` says otherwise. */
  const post = async (path: string, body: string, options: { token?: string; socket?: object } = {}) => {
    const { token = TOKEN, socket = { remoteAddress: '127.0.0.1', localAddress: '127.0.0.1' } } = options
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const init = { method: 'POST', body, headers }
    const response = await app.request(`http://127.0.0.1:9143${path}`, init, {
      incoming: { socket: { setTimeout: () => undefined, ...socket } },
    })
    return { status: response.status, json: (await response.json()) as { error?: string } }
  }
  const request = (url: string, init?: RequestInit) => Promise.resolve(app.request(url, init))
  return { get, request, refused, post, asked, tried, lines }
}

test('answers with the instance’s answer, and forbids caching', async () => {
  const { get } = open()
  const { status, json, headers } = await get('/api/v1/routes/alice')
  assert.deepEqual([status, json], [200, ANSWER])
  assert.equal(headers.get('cache-control'), 'no-store')
  assert.deepEqual((await get('/api/v1/backends')).json, { backends: [] })
  assert.deepEqual((await get('/api/v1/instances')).json, {
    instances: [],
    scope: 'instance',
    why: 'the directory is not Redis',
  })
})

test('asks for the user as he was typed, whatever is in his name', async () => {
  const { get, asked } = open()
  const names = [
    'alice@example.test',
    'a/b',
    'a%40b',
    'a b',
    '?',
    '#',
    'jürgen',
    '\r\n',
    '\0',
    'a\\b',
    '..x',
    "o'x",
    '%',
  ]
  for (const name of names) assert.equal((await get(`/api/v1/routes/${encodeURIComponent(name)}`)).status, 200, name)
  assert.deepEqual(
    asked.map(({ user }) => user),
    names,
  )
})

test('hands on what else is asked, addresses in the spelling of sockets', async () => {
  const { get, asked } = open()
  await get('/api/v1/routes/a?protocol=pop3&listener=pops&sni=IMAP.example.test&ip=2001:DB8:0:0::1')
  await get('/api/v1/routes/a?ip=::ffff:192.0.2.1')
  assert.deepEqual(asked, [
    { user: 'a', protocol: 'pop3', listener: 'pops', serverName: 'IMAP.example.test', address: '2001:db8::1' },
    { user: 'a', protocol: undefined, listener: undefined, serverName: undefined, address: '192.0.2.1' },
  ])
})

test('refuses invalid requests with the reason, without a question to the instance', async () => {
  const { refused, asked } = open()
  for (const [path, reason] of [
    ['/routes/%ff', /not percent-encoded UTF-8/],
    ['/routes/%4', /not percent-encoded UTF-8/],
    [`/routes/${'x'.repeat(1001)}`, /longer than 1000/],
    ['/routes/a?protocol=smtp', /protocol: imap, pop3 or managesieve/],
    ['/routes/a?ip=example.test', /ip: an address/],
    ['/routes/a?ip=fe80::1%25eth0', /ip: an address/],
    ['/routes/a?sni=a%20b', /sni: a host name/],
    [`/routes/a?sni=${'x'.repeat(254)}`, /sni: a host name/],
    [`/routes/a?listener=${'x'.repeat(201)}`, /listener: too long/],
    ['/routes/a?user=b', /user/],
  ] as const)
    assert.match(await refused(400, `/api/v1${path}`), reason)
  assert.deepEqual(asked, [])
})

test('says why a question has no answer', async () => {
  const { refused } = open({ explain: () => Promise.resolve({ wrong: 'there is no listener x' }) })
  assert.equal(await refused(400, '/api/v1/routes/a?listener=x'), 'there is no listener x')
})

test('has no other paths', async () => {
  const { refused } = open()
  for (const path of ['/api/v1', '/api/v1/routes/', '/api/v1/routes/a/b', '/api/v1/x'])
    assert.match(await refused(404, path), /no such path/, path)
})

test('wants the token of now: the old one is refused as soon as the file has another', async () => {
  let kept = tokensOf(TOKEN)
  const { get, refused } = open({ tokens: () => kept })
  const path = '/api/v1/backends'
  const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` })
  assert.equal((await get(path, bearer(TOKEN))).status, 200)
  kept = tokensOf('the-next-token')
  assert.match(await refused(401, path, bearer(TOKEN)), /not the one/)
  assert.equal((await get(path, bearer('the-next-token'))).status, 200)
})

test('wants the token where there is one', async () => {
  const { get, refused, asked } = open({ tokens: () => tokensOf(TOKEN) })
  const path = '/api/v1/routes/alice'
  assert.match(await refused(401, path), /Bearer TOKEN/)
  for (const token of ['wrong', TOKEN.slice(1), `${TOKEN}x`, TOKEN.toUpperCase()])
    assert.match(await refused(401, path, { authorization: `Bearer ${token}` }), /not the one/)
  assert.match(await refused(400, path, { authorization: `Basic ${TOKEN}` }), /Bearer TOKEN/)
  assert.match(await refused(401, '/api/v1/backends'), /Bearer/)
  assert.match(await refused(401, '/api/v1/nothing'), /Bearer/, 'not even which paths there are')
  assert.deepEqual(asked, [])
  assert.equal((await get(path, { authorization: `Bearer ${TOKEN}` })).status, 200)
  assert.equal((await get(path, { authorization: `Bearer ${TOKEN}` }, 'https://mail.example.test')).status, 200)
})

const PATHS = ['/livez', '/readyz', '/metrics', '/api/v1/routes/a']

// A page whose own name leads to 127.0.0.1 would be taken for the same origin by its browser.
test('answers under no foreign name, whatever is asked', async () => {
  const { request, asked } = open()
  for (const path of PATHS) {
    for (const host of ['evil.example:9143', 'localhost.evil.example:9143', 'localhost.:9143', 'example.test']) {
      const response = await request(`http://${host}${path}`)
      assert.equal(response.status, 403, `${host}${path}`)
      assert.match(
        errorAnswer.parse(await response.json()).error,
        /under an address, localhost, or a name of admin\.hosts/,
      )
    }
  }
  assert.deepEqual(asked, [])
  for (const path of PATHS) {
    for (const host of ['localhost:9143', '[::1]:9143', '127.0.0.2', 'mux.example.test:9143', 'MUX.Example.Test'])
      assert.equal((await request(`http://${host}${path}`)).status, 200, `${host}${path}`)
  }
})

test('asks for the token under every name, but answers the rest under its own names alone', async () => {
  const { request } = open({ tokens: () => tokensOf(TOKEN) })
  const headers = { authorization: `Bearer ${TOKEN}` }
  assert.equal((await request('http://proxy.example/api/v1/backends', { headers })).status, 200)
  assert.equal((await request('http://proxy.example/api/v1/backends')).status, 401)
  assert.equal((await request('http://proxy.example/metrics', { headers })).status, 403)
})

test('does not look at what pages of other sites send off, token or none', async () => {
  const authorization = `Bearer ${TOKEN}`
  for (const { request } of [open(), open({ tokens: () => tokensOf(TOKEN) })]) {
    for (const path of PATHS) {
      const get = (header: object) => request(`http://127.0.0.1:9143${path}`, { headers: { authorization, ...header } })
      const foreign = [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { origin: 'null' }]
      for (const header of [...foreign, { origin: 'http://evil.example' }, { origin: 'http://127.0.0.1:8000' }]) {
        const response = await get(header)
        assert.equal(response.status, 403, path)
        assert.match(errorAnswer.parse(await response.json()).error, /other sites/)
      }
      const own = [
        { 'sec-fetch-site': 'none' },
        { 'sec-fetch-site': 'same-origin' },
        { origin: 'http://127.0.0.1:9143' },
      ]
      for (const header of own) assert.equal((await get(header)).status, 200, path)
    }
  }
})

test('reads a body only for a login test, and closes the connection of a refused request', async () => {
  const { request } = open()
  for (const headers of [{ 'content-length': '1' }, { 'transfer-encoding': 'chunked' }] as Record<string, string>[]) {
    for (const path of PATHS) {
      const response = await request(`http://127.0.0.1:9143${path}`, { headers })
      assert.deepEqual([response.status, response.headers.get('connection')], [413, 'close'], path)
    }
  }
  const missing = await request('http://127.0.0.1:9143/nowhere')
  assert.deepEqual([missing.status, missing.headers.get('connection')], [404, 'close'])
})

test('reports the details of a defect in the log only', async () => {
  const { refused, lines } = open({ explain: () => Promise.reject(new Error('secret detail')) })
  assert.equal(await refused(500, '/api/v1/routes/a'), 'internal error')
  assert.deepEqual(
    lines.map(({ level, message }) => [level, message]),
    [['error', 'defect']],
  )
})

test('passes a password on once, and answers with the route and the result of the login', async () => {
  const { post, tried, asked } = open({ tokens: () => tokensOf(TOKEN) })
  const { status, json } = await post('/api/v1/routes/a%2Fb/login?protocol=pop3', '{"password":"p\u00e4ss wörd"}')
  assert.deepEqual([status, json], [200, { ...ANSWER, trial: TRIAL }])
  assert.deepEqual(loginAnswer.parse(json), json)
  assert.deepEqual(tried, [['a/b', 'päss wörd']])
  assert.deepEqual([asked.length, asked[0]?.protocol], [1, 'pop3'])
})

test('refuses a login test without a token, also from this machine', async () => {
  for (const [parts, token, status] of [
    [{ tokens: () => [] }, TOKEN, 403],
    [{ tokens: () => tokensOf(TOKEN) }, 'wrong', 401],
  ] as const) {
    const { post, tried } = open(parts)
    const answer = await post('/api/v1/routes/a/login', '{"password":"x"}', { token })
    assert.deepEqual([answer.status, tried], [status, []])
    assert.match(answer.json.error ?? '', /admin\.token_file/)
  }
})

test('accepts a password only from this machine, because it is not encrypted', async () => {
  const { post, tried } = open({ tokens: () => tokensOf(TOKEN) })
  const at = (remoteAddress: string | undefined, localAddress: string) =>
    post('/api/v1/routes/a/login', '{"password":"x"}', { socket: { remoteAddress, localAddress } })
  for (const remote of ['192.0.2.1', '::ffff:192.0.2.1', undefined, '128.0.0.1', '12.7.0.1'])
    assert.equal((await at(remote, '192.0.2.2')).status, 403, String(remote))
  assert.deepEqual(tried, [])
  for (const remote of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '192.0.2.2'])
    assert.equal((await at(remote, '192.0.2.2')).status, 200, remote)
})

test('refuses a body without a password, and one that is too long', async () => {
  const { post, tried } = open({ tokens: () => tokensOf(TOKEN) })
  const long = JSON.stringify({ password: 'x'.repeat(1001) })
  const odd = ['{}', '', 'x', 'null', '{"password":1}', '{"password":""}', '{"password":"a","user":"b"}', long]
  for (const body of [...odd, '{"password":"a\\r\\nb"}', '{"password":"a\\u0000"}'])
    assert.equal((await post('/api/v1/routes/a/login', body)).status, 400, body.slice(0, 40))
  assert.equal((await post('/api/v1/routes/a/login', 'x'.repeat(8193))).status, 413)
  assert.equal((await post('/api/v1/routes/a/login?x=1', '{"password":"x"}')).status, 400)
  assert.deepEqual(tried, [])
})

test('changes nothing by GET', async () => {
  const { refused, tried } = open({ tokens: () => tokensOf(TOKEN) })
  await refused(404, '/api/v1/routes/a/login', { authorization: `Bearer ${TOKEN}` })
  assert.deepEqual(tried, [])
})

test('lists sessions by user and back end, a thousand without a limit in the request', async () => {
  const asked: unknown[] = []
  const { get, refused } = open({
    sessions: (question) => {
      asked.push(question)
      return Promise.resolve({ sessions: [], total: 0 })
    },
  })
  assert.deepEqual((await get('/api/v1/sessions')).json, { sessions: [], total: 0 })
  await get('/api/v1/sessions?user=alice%40example.test&backend=store1&limit=10000')
  assert.deepEqual(asked, [{ limit: 1000 }, { user: 'alice@example.test', backend: 'store1', limit: 10_000 }])
  for (const [query, reason] of [
    ['limit=10001', 'query.limit: at most 10000'],
    ['limit=-1', 'query.limit: a number'],
    ['limit=all', 'query.limit: a number'],
    ['user=', 'query.user: empty'],
    ['usr=alice', 'query.usr: is not known; known are user, backend, client, listener, scope, limit'],
    [`user=${'a'.repeat(1001)}`, 'query.user: too long'],
    ['user=alice&user=bob', 'query.user: is given more than once'],
    ['token=open-sesame', 'query.token: is not known; known are user, backend, client, listener, scope, limit'],
  ] as const)
    assert.equal(await refused(400, `/api/v1/sessions?${query}`), reason)
})

test('answers 503 if no worker can answer', async () => {
  const nobody = (): Promise<never> => Promise.reject(new Unavailable('no worker answers'))
  const { refused, lines } = open({ sessions: nobody, backends: nobody, explain: nobody })
  for (const path of ['sessions', 'backends', 'routes/alice'])
    assert.equal(await refused(503, `/api/v1/${path}`), 'no worker answers')
  assert.deepEqual(lines, [])
})
