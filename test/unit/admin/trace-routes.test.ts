/** The route for traces: who may begin one, what it takes, and what the log says of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHash } from 'node:crypto'
import { errorAnswer } from '../../../src/admin/answers.ts'
import { Unavailable } from '../../../src/admin/api.ts'
import { traceTold, type TraceOrders } from '../../../src/admin/trace-routes.ts'
import type { AdminToken, Right } from '../../../src/config/settings.ts'
import { Secret } from '../../../src/secret.ts'
import { adminWith } from './parts.ts'

const ID = '9f86d081884c7d65'

function token(name: string, rights: readonly Right[]): AdminToken {
  return { name, rights, digest: new Secret(createHash('sha256').update(name).digest('hex')) }
}

function setUp() {
  const asked: unknown[] = []
  let failure: Error | undefined
  const traces: TraceOrders = {
    collect(order) {
      asked.push(order)
      if (failure) return Promise.reject(failure)
      const line = { atMs: 1, session: 'a-1', leg: 'note', text: 'phase routing' } as const
      return Promise.resolve({ lines: [line], dropped: 2 })
    },
    end(id) {
      asked.push(id)
      return Promise.resolve({ lines: [], dropped: 0 })
    },
  }
  const { app, lines } = adminWith({
    traces,
    tokens: () => [token('reader', ['read']), token('op', ['read', 'operate'])],
  })
  const post = async (body: object, as = 'op') => {
    const headers = { authorization: `Bearer ${as}`, 'content-type': 'application/json' }
    const response = await app.request(
      'http://127.0.0.1:9143/api/v1/traces',
      { method: 'POST', headers, body: JSON.stringify(body) },
      { incoming: { socket: { remoteAddress: '192.0.2.1' } } },
    )
    const json: unknown = await response.json()
    return { status: response.status, json, why: errorAnswer.safeParse(json).data?.error ?? '' }
  }
  return { post, asked, lines, fail: (error: Error | undefined) => void (failure = error) }
}

test('takes an order of an operator, repeats it, and writes one line at its begin and one at its end', async () => {
  const { post, asked, lines } = setUp()
  for (let count = 0; count < 3; count++) {
    const { status, json } = await post({ id: ID, user: 'alice', for: '5m', by: 'root@mx1' })
    assert.equal(status, 200)
    assert.ok(traceTold.parse(json).leftMs <= 300_000)
  }
  assert.equal(asked.length, 3)
  assert.deepEqual(traceTold.parse((await post({ id: ID, user: 'alice', for: '5m', end: true })).json).leftMs, 0)
  assert.equal(asked.at(-1), ID)
  const begun = lines.filter(({ message }) => message === 'trace begun by operator')
  assert.equal(begun.length, 1)
  const [line] = begun
  assert.deepEqual(
    [line?.peer, line?.token, line?.by, line?.trace, line?.user, line?.forMs],
    ['192.0.2.1', 'op', 'root@mx1', ID, 'alice', 300_000],
  )
  const ended = lines.filter(({ message }) => message === 'trace ended')
  assert.equal(ended.length, 1)
  assert.deepEqual([ended[0]?.lines, ended[0]?.dropped, ended[0]?.why], [3, 6, 'by operator'])
})

test('ends the trace when its time is over', async () => {
  const { post, asked, lines } = setUp()
  await post({ id: ID, session: 'a-1', for: '1ms' })
  await new Promise((resolve) => setTimeout(resolve, 5))
  const { json } = await post({ id: ID, session: 'a-1', for: '1ms' })
  assert.equal(traceTold.parse(json).leftMs, 0)
  assert.equal(asked.at(-1), ID)
  assert.equal(lines.find(({ message }) => message === 'trace ended')?.why, 'its time is over')
})

test('needs the right to operate', async () => {
  const { post, asked } = setUp()
  assert.equal((await post({ id: ID, user: 'alice', for: '5m' }, 'reader')).status, 403)
  assert.equal((await post({ id: ID, user: 'alice', for: '5m' }, 'nobody')).status, 401)
  assert.deepEqual(asked, [])
})

test('refuses an order without a filter, with another id, and for longer than an hour', async () => {
  const { post, asked } = setUp()
  for (const body of [
    { id: ID, for: '5m' },
    { id: 'x', user: 'alice', for: '5m' },
    { id: ID, user: 'alice', for: '2h' },
    { id: ID, user: 'alice' },
    { id: ID, client: 'nowhere', for: '5m' },
    { id: ID, session: 'a b', for: '5m' },
    { id: ID, user: 'alice', for: '5m', more: 1 },
  ])
    assert.equal((await post(body)).status, 400, JSON.stringify(body))
  assert.deepEqual(asked, [])
})

test('forgets a trace that no worker has answered for', async () => {
  const { post, fail } = setUp()
  fail(new Unavailable('no worker answers'))
  for (let count = 0; count < 70; count++) {
    const { status, why } = await post({ id: count.toString(16).padStart(16, '0'), user: 'alice', for: '5m' })
    assert.deepEqual([status, why], [503, 'no worker answers'])
  }
  fail(undefined)
  assert.equal((await post({ id: ID, user: 'alice', for: '5m' })).status, 200)
})
