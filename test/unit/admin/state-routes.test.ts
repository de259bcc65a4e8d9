/** The states of back ends in the API: who may set them, which orders make sense, what a refusal says, and the line in the log. */
import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { buildAdmin } from '../../../src/admin/admin.ts'
import { errorAnswer, stateSetAnswer } from '../../../src/admin/answers.ts'
import { Unavailable, type ApiParts } from '../../../src/admin/api.ts'
import type { StateResult } from '../../../src/admin/state-routes.ts'
import { keepLog } from '../backend/fixture.ts'
import { NO_PARTS } from './parts.ts'
import { tokensOf } from './tokens.ts'

const TOKEN = 'open-sesame'

function open(result: StateResult | Error = { result: 'changed' }, changes: Partial<ApiParts> = {}) {
  const ordered: unknown[] = []
  const { log, lines } = keepLog()
  const api: ApiParts = {
    ...NO_PARTS,
    tokens: () => tokensOf(TOKEN),
    setBackendState(change) {
      ordered.push(change)
      return result instanceof Error ? Promise.reject(result) : Promise.resolve(result)
    },
    limits: () => Promise.resolve({ limits: [] }),
    isConfigured: (kind, name) => kind === 'backend' && name === 'store1',
    ...changes,
  }
  const metrics = { render: () => Promise.resolve(''), contentType: 'text/plain' }
  const app = buildAdmin({ notReady: () => undefined, metrics, api, hosts: new Set(), log })
  const send = async (method: 'PUT' | 'DELETE', body?: unknown, { backend = 'store1', token = TOKEN } = {}) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const init = { method, headers, ...(body !== undefined && { body: text }) }
    const path = `http://127.0.0.1:9143/api/v1/backends/${backend}/state`
    const response = await app.request(path, init, { incoming: { socket: { remoteAddress: '192.0.2.1' } } })
    const json: unknown = await response.json()
    return { status: response.status, json, why: errorAnswer.safeParse(json).data?.error ?? '' }
  }
  return { send, ordered, lines }
}

test('gives a back end a state, and writes a line: from where, who, which state', async () => {
  const { send, ordered, lines } = open()
  const { status, json } = await send('PUT', { state: 'drain', over: '10m', by: 'root@mx1', force: true })
  assert.deepEqual(
    [status, json, stateSetAnswer.parse(json)],
    [200, ...Array<object>(2).fill({ backend: 'store1', changed: true })],
  )
  await send('PUT', { state: 'up' })
  await send('DELETE')
  assert.deepEqual(ordered, [
    { backend: 'store1', order: { state: 'drain', over: '10m', by: 'root@mx1', isForced: true } },
    { backend: 'store1', order: { state: 'up', over: undefined, by: hostname(), isForced: false } },
    { backend: 'store1', order: undefined },
  ])
  assert.deepEqual(
    lines.map(({ level, message, peer, by, backend, state, over, changed }) => ({
      level,
      message,
      peer,
      by,
      backend,
      state,
      over,
      changed,
    })),
    [
      ['root@mx1', 'drain', '10m'],
      [hostname(), 'up', undefined],
      [undefined, 'as in the routing file', undefined],
    ].map(([by, state, over]) => ({
      level: 'info',
      message: 'back end state set by operator',
      peer: '192.0.2.1',
      by,
      backend: 'store1',
      state,
      over,
      changed: true,
    })),
  )
})

test('drains a back end with the order to reassign its users, with a line in the log', async () => {
  const { send, ordered, lines } = open()
  assert.equal((await send('PUT', { state: 'drain', by: 'root@mx1', reassign: true })).status, 200)
  assert.deepEqual(ordered, [
    { backend: 'store1', order: { state: 'drain', over: undefined, by: 'root@mx1', isForced: false, reassign: true } },
  ])
  assert.deepEqual(
    lines.map(({ state, reassign }) => [state, reassign]),
    [['drain', true]],
  )
})

test('says whether anything has changed', async () => {
  const { send } = open({ result: 'unchanged' })
  assert.deepEqual((await send('PUT', { state: 'up' })).json, { backend: 'store1', changed: false })
  assert.deepEqual((await send('DELETE')).json, { backend: 'store1', changed: false })
})

test('refuses an order that makes no sense, and changes nothing', async () => {
  const { send, ordered, lines } = open()
  for (const [body, reason] of [
    [undefined, 'body: is missing'],
    ['', 'body: is missing'],
    ['x', 'body: is not JSON'],
    ['{}', 'body.state: '],
    [{ state: 'off' }, 'body.state: '],
    [{ state: 'drain', over: 60 }, 'body.over: '],
    [{ state: 'drain', until: '10m' }, 'body.until: is not known; known are state, over, by, force, reassign'],
    [{ state: 'drain', over: 'x'.repeat(21) }, 'body.over: '],
    [{ state: 'up', force: 'yes' }, 'body.force: '],
    [{ state: 'drain', reassign: 1 }, 'body.reassign: '],
    [{ state: 'up', by: 'a b' }, 'body.by: up to 100 letters'],
    [{ state: 'up', by: '' }, 'body.by: up to 100 letters'],
    [{ state: 'up', by: 'a\n' }, 'body.by: up to 100 letters'],
    [{ state: 'pause', over: '10m' }, 'body.over: goes with the state drain alone'],
    [{ state: 'down', reassign: true }, 'body.reassign: goes with the state drain alone'],
  ] as const) {
    const { status, why } = await send('PUT', body)
    assert.deepEqual([status, why.slice(0, reason.length)], [400, reason], JSON.stringify(body))
  }
  assert.equal((await send('PUT', 'x'.repeat(8193))).status, 413)
  for (const method of ['PUT', 'DELETE'] as const) {
    const { status, why } = await send(method, method === 'PUT' ? { state: 'up' } : undefined, { backend: 'store9' })
    assert.deepEqual([status, why], [404, 'there is no back end store9'])
  }
  assert.deepEqual([ordered, lines], [[], []])
})

test('reports the author, start and duration of a drain in progress', async () => {
  const sinceMs = Date.UTC(2026, 10, 30, 9, 0, 0)
  const { send, lines } = open({ result: 'held', over: '1h', by: 'root@mx2', sinceMs })
  const { status, why } = await send('PUT', { state: 'drain', over: '10m' })
  assert.deepEqual(
    [status, why],
    [
      409,
      'store1 is being drained by root@mx2 over 1h since 2026-11-30T09:00:00.000Z; only an order with force replaces that drain',
    ],
  )
  const unknown = open({ result: 'held', over: undefined, by: undefined, sinceMs: undefined })
  assert.match(
    (await unknown.send('PUT', { state: 'drain' })).why,
    /^store1 is being drained over the default time; only/,
  )
  assert.deepEqual(lines, [])
})

test('says why the directory does not take a state', async () => {
  for (const [result, status] of [
    [{ result: 'wrong', why: 'as scripted' }, 400],
    [{ result: 'no-place', why: 'as scripted' }, 409],
    [{ result: 'unavailable', why: 'as scripted' }, 503],
    [new Unavailable('as scripted'), 503],
  ] as const) {
    const { send, lines } = open(result)
    const answer = await send('PUT', { state: 'drain', over: '10m' })
    assert.deepEqual([answer.status, answer.why, lines], [status, 'as scripted', []])
  }
})

test('takes orders with the token alone, and none without one in the configuration', async () => {
  const { send, ordered } = open()
  const tokenless = open({ result: 'changed' }, { tokens: () => [] })
  for (const [method, body] of [
    ['PUT', { state: 'up' }],
    ['DELETE', undefined],
  ] as const) {
    assert.equal((await send(method, body, { token: 'wrong' })).status, 401)
    const { status, why } = await tokenless.send(method, body)
    assert.deepEqual([status, /needs admin\.token_file/.test(why)], [403, true])
  }
  assert.deepEqual([ordered, tokenless.ordered], [[], []])
})
