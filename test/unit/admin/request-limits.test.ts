/** How many requests and wrong tokens one address may send to the admin HTTP, and what no limit touches. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRequestLimits } from '../../../src/admin/request-limits.ts'
import { adminWith } from './parts.ts'
import { tokensOf } from './tokens.ts'

const TOKEN = 'a-token-of-the-file'

function open() {
  const refused: string[] = []
  const parts = {
    tokens: () => tokensOf(TOKEN),
    refused: (why: string) => void refused.push(why),
    backends: () => Promise.resolve([]),
  }
  const { app, lines } = adminWith(
    parts,
    createRequestLimits(() => 0),
  )
  const ask = async (
    remoteAddress: string,
    {
      token = TOKEN,
      path = '/api/v1/backends',
      isSocket = false,
    }: { token?: string; path?: string; isSocket?: boolean } = {},
  ) => {
    const headers = { authorization: `Bearer ${token}` }
    const socket = { remoteAddress, setTimeout: () => undefined }
    const env = { incoming: { socket }, ...(isSocket && { isSocket }) }
    return app.request(`http://127.0.0.1:9143${path}`, { headers }, env)
  }
  const askOften = async (count: number, ...what: Parameters<typeof ask>): Promise<number[]> => {
    const statuses: number[] = []
    for (let at = 0; at < count; at++) statuses.push((await ask(...what)).status)
    return statuses
  }
  return { ask, askOften, refused, lines }
}

test('refuses the requests of an address that sends too many, and says when to come again', async () => {
  const { ask, askOften, refused } = open()
  const statuses = new Set(await askOften(2000, '192.0.2.1'))
  assert.deepEqual(statuses, new Set([200, 429]))
  const late = await ask('192.0.2.1')
  assert.deepEqual([late.status, late.headers.get('retry-after')], [429, '1'])
  assert.deepEqual(new Set(refused), new Set(['rate']))
  assert.equal((await ask('192.0.2.2')).status, 200, 'another address')
  assert.equal((await ask('192.0.2.1', { path: '/metrics' })).status, 429)
  for (const path of ['/livez', '/readyz']) assert.equal((await ask('192.0.2.1', { path })).status, 200)
})

test('does not limit the Unix socket', async () => {
  const { askOften } = open()
  assert.deepEqual(new Set(await askOften(2000, '', { isSocket: true })), new Set([200]))
})

test('refuses further wrong tokens of an address that has sent ten, and takes a right one', async () => {
  const { ask, askOften, refused, lines } = open()
  assert.deepEqual(await askOften(10, '192.0.2.1', { token: 'wrong' }), Array(10).fill(401))
  const wrong = await ask('192.0.2.1', { token: 'wrong' })
  assert.deepEqual([wrong.status, Number(wrong.headers.get('retry-after')) <= 6], [429, true])
  assert.equal((await ask('192.0.2.1')).status, 200, 'the right token')
  assert.deepEqual(refused, [...Array<string>(10).fill('token'), 'rate'])
  assert.deepEqual(
    lines.map(({ level, message, peer }) => [level, message, peer]),
    Array(2).fill(['warn', 'wrong token of the admin API', '192.0.2.1']),
  )
  assert.doesNotMatch(JSON.stringify(lines), /"wrong"/)
})

test('counts an IPv6 network as one address, and forgets wrong tokens after a minute', () => {
  let now = 0
  const limits = createRequestLimits(() => now)
  for (let at = 0; at < 10; at++) limits.wrongToken(`2001:db8::${at}`)
  assert.ok(limits.tokenWait('2001:db8::ffff') > 0)
  assert.equal(limits.tokenWait('2001:db8:0:1::1'), 0)
  now += 6001
  assert.equal(limits.tokenWait('2001:db8::ffff'), 0)
  limits.wrongToken('2001:db8::1')
  assert.ok(limits.tokenWait('2001:db8::1') > 0)
  now += 60_000
  for (let at = 0; at < 9; at++) limits.wrongToken('2001:db8::1')
  assert.equal(limits.tokenWait('2001:db8::1'), 0)
})

test('remembers a thousand addresses, whatever their number is', () => {
  const limits = createRequestLimits(() => 0)
  for (let at = 0; at < 10; at++) limits.wrongToken('192.0.2.1')
  for (let at = 0; at < 1000; at++) limits.wrongToken(`10.0.${at >> 8}.${at & 255}`)
  assert.equal(limits.tokenWait('192.0.2.1'), 0)
})

test('forbids browsers to keep an answer, to guess its type and to frame it, whatever the status is', async () => {
  const { ask } = open()
  for (const what of [{}, { token: 'wrong' }, { path: '/nowhere' }, { path: '/livez' }]) {
    const { headers } = await ask('192.0.2.1', what)
    assert.deepEqual(
      ['cache-control', 'x-content-type-options', 'content-security-policy', 'x-frame-options', 'referrer-policy'].map(
        (name) => headers.get(name),
      ),
      ['no-store', 'nosniff', "default-src 'none'; frame-ancestors 'none'", 'DENY', 'no-referrer'],
    )
  }
})
