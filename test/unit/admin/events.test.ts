/** The events of the API: what readers get, how many there may be, and that a slow one is dropped. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { test, type TestContext } from 'node:test'
import { openAdmin } from '../../../src/admin/admin.ts'
import { createEvents, MOST_READERS } from '../../../src/admin/events.ts'
import { createEventWatch, findEvents, type Watched } from '../../../src/admin/event-watch.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'
import { freePort } from '../../support/ports.ts'
import { keepLog } from '../backend/fixture.ts'
import { adminWith } from './parts.ts'
import { tokenWith } from './tokens.ts'

const READER = 'a-token-to-read-00'
const OPERATOR = 'a-token-to-operate'

async function open(t: TestContext) {
  const tokens = [tokenWith('alice', ['read', 'operate'], OPERATOR), tokenWith('page', ['read'], READER)]
  const { app } = adminWith({
    tokens: () => tokens,
    setBackendState: () => Promise.resolve({ result: 'changed' }),
    backends: () => Promise.reject(new Error('no worker')),
  })
  const port = await freePort()
  const opened = await openAdmin(app, { host: '127.0.0.1', port }, { log: keepLog().log, refused: () => undefined })
  t.after(() => {
    app.close()
    opened.close()
    opened.server.closeAllConnections()
  })
  const send = async (method: string, path: string, { token = READER, headers = {}, body = '' } = {}) => {
    const asked = request({
      port,
      host: '127.0.0.1',
      method,
      path: `/api/v1${path}`,
      headers: { authorization: `Bearer ${token}`, ...headers },
      agent: false,
    })
    asked.on('error', () => undefined)
    asked.end(body)
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    response.on('error', () => undefined)
    return { asked, response }
  }
  /** Follows the events, and keeps what comes. */
  const follow = async (headers: Record<string, string> = {}) => {
    const { asked, response } = await send('GET', '/events', { headers })
    t.after(() => asked.destroy())
    const got = { text: '', status: response.statusCode, response, end: () => asked.destroy() }
    response.setEncoding('utf8').on('data', (text: string) => (got.text += text))
    const has = (what: string | RegExp) =>
      until(
        START_DEADLINE_MS,
        () => got.text.match(what) ?? undefined,
        () => `no ${String(what)} in ${got.text}`,
      )
    return { ...got, got, has }
  }
  const order = async (name: string) => {
    const body = '{"state":"drain"}'
    const { response } = await send('PUT', `/backends/${name}/state`, { token: OPERATOR, body })
    response.resume()
    await once(response, 'end')
  }
  return { port, app, tokens, send, follow, order }
}

test('streams what operators do, without a secret, to readers with the right to read', async (t) => {
  const { follow, order } = await open(t)
  const { response, has, got } = await follow()
  assert.equal(response.headers['content-type'], 'text/event-stream')
  assert.equal(response.headers['cache-control'], 'no-store')
  await has('retry: 2000\n\n')
  await order('store1')
  await has(/id: [0-9a-f]{8}-1\nevent: audit\ndata: \{"message":"back end state set by operator".*\}\n\n/)
  const data = JSON.parse(/^data: (.*)$/m.exec(got.text)?.[1] ?? '') as object
  assert.deepEqual(
    { ...data, by: undefined },
    {
      message: 'back end state set by operator',
      peer: '127.0.0.1',
      token: 'alice',
      by: undefined,
      backend: 'store1',
      state: 'drain',
      isForced: false,
      changed: true,
    },
  )
  assert.doesNotMatch(got.text, new RegExp(`${READER}|${OPERATOR}`))
})

test('goes on after the last event that a reader has', async (t) => {
  const { follow, order } = await open(t)
  const first = await follow()
  await order('store1')
  const [, id = ''] = await first.has(/id: (\S+)\n/)
  first.end()
  await order('store2')
  const second = await follow({ 'last-event-id': id })
  await second.has(/"backend":"store2"/)
  assert.doesNotMatch(second.got.text, /store1/)
  const stranger = await follow({ 'last-event-id': 'of another process-1' })
  await order('store3')
  await stranger.has(/store3/)
  assert.doesNotMatch(stranger.got.text, /store[12]/)
})

test('has a bounded number of readers, and room again when one has left', async (t) => {
  const { follow, send } = await open(t)
  const readers = []
  for (let at = 0; at < MOST_READERS; at++) readers.push(await follow())
  assert.deepEqual([...new Set(readers.map(({ status }) => status))], [200])
  assert.equal((await follow()).status, 503)
  for (let at = 0; at < 3; at++) {
    const { response } = await send('HEAD', '/events')
    response.resume()
  }
  readers[0]?.end()
  await until(
    START_DEADLINE_MS,
    async () => {
      const again = await follow()
      return again.status === 200 || undefined
    },
    () => 'no room for another reader',
  )
})

test('ends the stream of a reader whose token is taken out of the file, before the next event', async (t) => {
  const { tokens, follow, order } = await open(t)
  const { got, has, response } = await follow()
  await order('store1')
  await has(/"backend":"store1"/)
  tokens.pop()
  const ended = once(response, 'end', { signal: AbortSignal.timeout(START_DEADLINE_MS) })
  await order('store2')
  await ended
  assert.doesNotMatch(got.text, /store2/)
})

test('ends the streams when mailmux ends', async (t) => {
  const { app, follow } = await open(t)
  const { response } = await follow()
  app.close()
  await once(response, 'end')
})

test('ends the stream of a reader that reads nothing, and says that events are missing', async () => {
  const { app } = adminWith({ setBackendState: () => Promise.resolve({ result: 'changed' }) })
  const env = { isSocket: true, incoming: { socket: {} } }
  const ask = async (path: string, init: RequestInit = {}) => app.request(`http://localhost/api/v1${path}`, init, env)
  const stream = await ask('/events')
  for (let at = 0; at < 600; at++)
    assert.equal((await ask('/backends/store1/state', { method: 'PUT', body: '{"state":"up"}' })).status, 200)
  const text = await stream.text()
  assert.match(text, /event: dropped\ndata: \{"why":"this reader was too slow; events are missing"\}\n\n$/)
  assert.ok(text.length < 1000, 'nothing of the full queue is sent')
})

test('tells a reader that is slower than the events that some are missing', async () => {
  const events = createEvents('e')
  const reader = events.read()
  assert.ok(reader)
  for (let at = 0; at < 400; at++) events.publish('audit', { at })
  assert.deepEqual(await reader.next(), { id: 'e-1', name: 'audit', data: { at: 0 } })
  assert.equal(reader.why(), undefined)
  for (let at = 0; at < 400; at++) events.publish('audit', { at })
  assert.deepEqual([await reader.next(), reader.why()], [undefined, 'slow'])
})

test('keeps a bounded number of events', async () => {
  const events = createEvents('e')
  for (let at = 0; at < 2000; at++) events.publish('audit', { at })
  const reader = events.read('e-1')
  events.publish('audit', { at: 'new' })
  assert.deepEqual(await reader?.next(), { id: 'e-2001', name: 'audit', data: { at: 'new' } })
  assert.deepEqual((await events.read('e-1999')?.next())?.id, 'e-2000')
})

test('tells when the first reader comes and the last one leaves, so that nothing is watched without readers', () => {
  const told: boolean[] = []
  const events = createEvents('e', (hasReaders) => told.push(hasReaders))
  events.publish('audit', {})
  assert.deepEqual(told, [])
  const [one, other] = [events.read(), events.read()]
  assert.deepEqual(told, [true])
  one?.close()
  one?.close()
  other?.close()
  assert.deepEqual(told, [true, false])
})

const STATUS: Watched['status'] = {
  nowMs: 1,
  sampledMs: 1,
  hostname: 'mail',
  host: 'mail1',
  version: '1',
  runtime: 'node 26.10.0',
  generation: 1,
  startedMs: 0,
  workers: ['up'],
  backends: [],
  connections: { open: 0, max: 1 },
  logins: { accepted: 5, refused: 1, failed: 0 },
  rejected: [{ name: 'client-http', count: 1 }],
  limited: [],
  listeners: [],
  certificates: [],
  directory: { kind: 'static', up: true, dataLost: false },
  config: { file: 'mailmux.yaml', loadedMs: 1 },
  movesRunning: 0,
  logLinesDropped: 0,
  shortages: 0,
}
const NOTHING: Watched = { status: STATUS, blocks: [], moves: [] }

test('tells what has changed, and nothing where nothing has', () => {
  assert.deepEqual(findEvents(NOTHING, structuredClone(NOTHING)), [])
  const block = { kind: 'user', target: 'mallory', by: 'root' } as const
  const blocked = { ...NOTHING, blocks: [block] }
  assert.deepEqual(findEvents(NOTHING, blocked), [{ name: 'block', data: { key: 'user mallory', after: block } }])
  assert.deepEqual(findEvents(blocked, NOTHING), [{ name: 'block', data: { key: 'user mallory', before: block } }])
  const config = { file: 'mailmux.yaml', loadedMs: 1, failure: { atMs: 2, errors: ['wrong'] } }
  assert.deepEqual(findEvents(NOTHING, { ...NOTHING, status: { ...STATUS, config } }), [
    { name: 'reload', data: config },
  ])
  const counts = {
    logins: { accepted: 9, refused: 4, failed: 0 },
    rejected: [
      { name: 'client-http', count: 1 },
      { name: 'client-closed', count: 2 },
    ],
    limited: [{ name: 'penalty', count: 7 }],
  }
  assert.deepEqual(findEvents(NOTHING, { ...NOTHING, status: { ...STATUS, ...counts } }), [
    { name: 'refusals', data: { refused: 3, rejected: { 'client-closed': 2 }, limited: { penalty: 7 } } },
  ])
})

test('looks at the instance only while it is turned on, and goes on after a failure', async () => {
  let looks = 0
  const published: string[] = []
  const seen = Promise.withResolvers<undefined>()
  const watch = createEventWatch(
    () => {
      looks++
      if (looks === 2) return Promise.reject(new Error('no worker answers'))
      return Promise.resolve(
        looks < 3 ? NOTHING : { ...NOTHING, status: { ...STATUS, config: { file: 'mailmux.yaml', loadedMs: looks } } },
      )
    },
    (name) => {
      published.push(name)
      seen.resolve(undefined)
    },
    1,
  )
  assert.equal(looks, 0)
  watch.turn(true)
  const alive = setInterval(() => undefined, 1000) // the watch keeps no process alive
  await seen.promise
  clearInterval(alive)
  watch.turn(false)
  assert.equal(published[0], 'reload')
})
