/** The routes of users in the API. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RouteChangeOrder, RouteParts } from '../../../src/admin/route-routes.ts'
import { adminWith } from './parts.ts'
import { tokensOf } from './tokens.ts'

const USER = 'alice@example.test'
const before = { backend: 'store1', login: 'inner', status: undefined }

function open(routes: Partial<RouteParts['routes']>) {
  const never = (): Promise<never> => Promise.reject(new Error('not asked here'))
  const { app, lines } = adminWith({
    tokens: () => tokensOf('secret'),
    routes: { list: never, set: never, remove: never, ...routes },
  })
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { authorization: 'Bearer secret', ...(body && { 'content-type': 'application/json' }) }
    const response = await app.request(`http://127.0.0.1/api/v1${path}`, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    })
    return { status: response.status, json: (await response.json()) as Record<string, unknown> }
  }
  return { ask, lines }
}

describe('routes in the API', () => {
  test('sets a route, and logs who did it with the route before and after', async () => {
    const asked: [string, RouteChangeOrder][] = []
    const { ask, lines } = open({
      set(user, change) {
        asked.push([user, change])
        return Promise.resolve({
          result: 'changed',
          user,
          before,
          after: { ...before, backend: 'store2' },
          notes: ['n'],
        })
      },
    })
    const { status, json } = await ask('PUT', `/routes/${encodeURIComponent(USER)}`, { backend: 'store2', login: null })
    assert.equal(status, 200)
    const after = { backend: 'store2', login: 'inner' }
    assert.deepEqual(json, {
      user: USER,
      changed: true,
      before: { backend: 'store1', login: 'inner' },
      after,
      notes: ['n'],
    })
    assert.deepEqual(asked, [[USER, { backend: 'store2', login: null }]])
    const line = JSON.stringify(lines.find((one) => JSON.stringify(one).includes('route set by operator')))
    assert.match(line, /"user":"alice@example\.test".*"before":\{"backend":"store1".*"after":\{"backend":"store2"/)
  })

  test('answers a refused order with its reason', async () => {
    for (const [result, status] of [
      ['wrong', 400],
      ['refused', 409],
      ['no-place', 409],
      ['unavailable', 503],
    ] as const) {
      const { ask } = open({ remove: () => Promise.resolve({ result, why: `it is ${result}` }) })
      assert.deepEqual(await ask('DELETE', `/routes/${USER}`), { status, json: { error: `it is ${result}` } })
    }
  })

  test('names each mistake of a body', async () => {
    const { status, json } = await open({}).ask('PUT', `/routes/${USER}`, { backend: 3, quota: 1 })
    assert.equal(status, 400)
    assert.match(JSON.stringify(json), /body\.backend.*quota/)
  })

  test('lists routes by pattern, back end, status and limit', async () => {
    const { ask } = open({
      list: (filter) => {
        assert.deepEqual(filter, { pattern: '*@example.test', backend: 'store1', status: 'hold', limit: 20 })
        return Promise.resolve({ routes: [{ user: USER, backend: 'store1', status: 'hold' }], more: true })
      },
    })
    const listed = await ask('GET', '/routes?pattern=*@example.test&backend=store1&status=hold&limit=20')
    assert.deepEqual(listed.json, { routes: [{ user: USER, backend: 'store1', status: 'hold' }], more: true })
    assert.equal((await ask('GET', '/routes?limit=1001')).status, 400)
  })
})
