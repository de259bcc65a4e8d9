/** The sessions in the API: what may be asked of them, who may end them, and the line in the log. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildAdmin } from '../../../src/admin/admin.ts'
import { endedAnswer, errorAnswer } from '../../../src/admin/answers.ts'
import { Unavailable, type ApiParts } from '../../../src/admin/api.ts'
import type { SessionAnswers } from '../../../src/admin/session-routes.ts'
import { keepLog } from '../backend/fixture.ts'
import { NO_PARTS } from './parts.ts'
import { tokensOf } from './tokens.ts'

const TOKEN = 'open-sesame'
const CONFIGURED = ['backend store1', 'listener imaps']
const never = (): Promise<never> => Promise.reject(new Error('not asked here'))

/** @param site what all instances answer, and other parts. @param ofInstance what this instance answers */
function open(
  { sessions, endSessions, ...parts }: Partial<ApiParts> = {},
  ofInstance: SessionAnswers = { sessions: never, endSessions: never },
) {
  const listed: unknown[] = []
  const ended: unknown[] = []
  const { log, lines } = keepLog()
  const site: SessionAnswers = {
    sessions(filter) {
      listed.push(filter)
      return Promise.resolve({ sessions: [], total: 0 })
    },
    endSessions(order) {
      ended.push(order)
      return Promise.resolve({ ended: 3 })
    },
    ...(sessions && { sessions }),
    ...(endSessions && { endSessions }),
  }
  const api: ApiParts = {
    ...NO_PARTS,
    tokens: () => tokensOf(TOKEN),
    ...ofInstance,
    site,
    limits: () => Promise.resolve({ limits: [] }),
    isConfigured: (kind, name) => CONFIGURED.includes(`${kind} ${name}`),
    ...parts,
  }
  const metrics = { render: () => Promise.resolve(''), contentType: 'text/plain' }
  const app = buildAdmin({ notReady: () => undefined, metrics, api, hosts: new Set(), log })
  const ask = async (
    method: 'GET' | 'DELETE',
    query: string,
    { token = TOKEN, remoteAddress = '::ffff:192.0.2.1' }: { token?: string; remoteAddress?: string | null } = {},
  ) => {
    const init = { method, headers: { authorization: `Bearer ${token}` } }
    const socket = { remoteAddress: remoteAddress ?? undefined }
    const response = await app.request(`http://127.0.0.1:9143/api/v1/sessions${query}`, init, { incoming: { socket } })
    const json: unknown = await response.json()
    return { status: response.status, json, why: errorAnswer.safeParse(json).data?.error ?? '' }
  }
  return { ask, listed, ended, lines }
}

test('lists sessions by user, back end, client and listener', async () => {
  const { ask, listed } = open()
  assert.equal(
    (await ask('GET', '?user=a%40b.test&backend=store1&client=192.0.2.7&listener=imaps&limit=5')).status,
    200,
  )
  assert.equal((await ask('GET', '?client=2001:db8::/32')).status, 200)
  assert.deepEqual(listed, [
    { user: 'a@b.test', backend: 'store1', client: '192.0.2.7', listener: 'imaps', limit: 5 },
    { client: '2001:db8::/32', limit: 1000 },
  ])
})

test('ends the sessions that a filter matches, at a safe point or at once', async () => {
  const { ask, ended } = open()
  const { status, json } = await ask('DELETE', '?user=a%40b.test&backend=store1&client=192.0.2.0/24&listener=imaps')
  assert.deepEqual([status, json, endedAnswer.parse(json)], [200, { ended: 3 }, { ended: 3 }])
  await ask('DELETE', '?user=a&now=true')
  await ask('DELETE', '?user=a&now=false&all=false')
  await ask('DELETE', '?all=true')
  assert.deepEqual(ended, [
    { user: 'a@b.test', backend: 'store1', client: '192.0.2.0/24', listener: 'imaps', now: false },
    { user: 'a', now: true },
    { user: 'a', now: false },
    { now: false },
  ])
})

test('ends a share of the sessions over a time, with a line in the log', async () => {
  const { ask, ended, lines } = open()
  assert.equal((await ask('DELETE', '?all=true&share=20%25&over=10m')).status, 200)
  assert.equal((await ask('DELETE', '?listener=imaps&share=12.5')).status, 200)
  const orders = [
    { now: false, rebalance: { share: 0.2, overMs: 600_000 } },
    { listener: 'imaps', now: false, rebalance: { share: 0.125 } },
  ]
  assert.deepEqual(ended, orders)
  const line = {
    level: 'info',
    message: 'sessions ended by operator',
    peer: '192.0.2.1',
    token: 'token_file',
    ended: 3,
  }
  assert.deepEqual(
    lines,
    orders.map((order) => ({ ...line, ...order, incomplete: undefined })),
  )
})

test('refuses a filter that makes no sense, with the reason, and ends no session', async () => {
  const { ask, ended, lines } = open()
  for (const [query, why] of [
    ['', /which sessions\?/],
    ['?now=true', /which sessions\?/],
    ['?all=false', /which sessions\?/],
    ['?all=true&user=a', /all=true goes with no filter/],
    ['?all=yes', /all: true or false/],
    ['?user=a&now=1', /now: true or false/],
    ['?user=', /user: empty/],
    ['?usr=a', /usr/],
    ['?user=a&limit=1', /limit/],
    ['?listener=', /listener: empty/],
    [`?backend=${'x'.repeat(201)}`, /backend: too long/],
    ['?client=example.test', /client: an address or a network/],
    ['?client=192.0.2.0/33', /client: an address or a network/],
    ['?client=fe80::1%25eth0', /client: an address or a network/],
    ['?client=', /client: an address or a network/],
    ['?share=20%25', /which sessions\?/],
    ['?all=true&share=0', /share: over 0% and up to 100%/],
    ['?all=true&share=101%25', /share: over 0% and up to 100%/],
    ['?all=true&share=a+fifth', /share: a part such as 20%/],
    ['?all=true&share=20&over=25h', /over: a duration up to 24h/],
    ['?all=true&share=20&over=soon', /over: a duration up to 24h/],
    ['?all=true&over=10m', /over goes with share alone/],
    ['?all=true&share=20&now=true', /share .* does not go with now=true/],
  ] as const) {
    const answer = await ask('DELETE', query)
    assert.deepEqual([answer.status, why.test(answer.why)], [400, true], `${query}: ${answer.why}`)
  }
  assert.match((await ask('GET', '?client=192.0.2.256')).why, /client: an address or a network/)
  assert.deepEqual([ended, lines], [[], []])
})

test('says that there is no back end or listener of a name, but only where no session matches it', async () => {
  const none = { endSessions: () => Promise.resolve({ ended: 0 }) }
  const { ask, lines } = open(none)
  for (const method of ['GET', 'DELETE'] as const) {
    assert.deepEqual((await ask(method, '?backend=store9')).json, { error: 'there is no back end store9' })
    assert.deepEqual((await ask(method, '?listener=imap9')).json, { error: 'there is no listener imap9' })
    assert.equal((await ask(method, '?backend=store1&listener=imaps')).status, 200)
  }
  assert.equal(lines.length, 1)
  // A reload has removed the back end, and its sessions go on.
  assert.deepEqual((await open().ask('DELETE', '?backend=store9')).json, { ended: 3 })
  // The back end may have sessions in the missing worker.
  const partly = open({ endSessions: () => Promise.resolve({ ended: 0, incomplete: [2] }) })
  assert.deepEqual((await partly.ask('DELETE', '?backend=store9')).json, { ended: 0, incomplete: [2] })
})

test('ends sessions for the token alone, and never without one in the configuration', async () => {
  const { ask, ended, lines } = open()
  assert.equal((await ask('DELETE', '?all=true', { token: 'wrong' })).status, 401)
  const tokenless = open({ tokens: () => [] })
  assert.match((await tokenless.ask('DELETE', '?all=true')).why, /needs admin\.token_file/)
  assert.equal((await tokenless.ask('GET', '')).status, 200)
  assert.deepEqual(
    lines.map(({ message }) => message),
    ['wrong token of the admin API'],
  )
  assert.deepEqual([ended, tokenless.ended, tokenless.lines], [[], [], []])
})

test('writes a line for each order: from where, by which token, which filter, how many', async () => {
  const { ask, lines } = open({ endSessions: () => Promise.resolve({ ended: 2, workers: [], incomplete: [3] }) })
  await ask('DELETE', '?user=a%40b.test&client=192.0.2.0/24&now=true')
  await ask('DELETE', '?all=true', { remoteAddress: null })
  const common = { level: 'info', message: 'sessions ended by operator', ended: 2, incomplete: [3] }
  const line = { ...common, token: 'token_file' }
  assert.deepEqual(lines, [
    { ...line, peer: '192.0.2.1', user: 'a@b.test', client: '192.0.2.0/24', now: true },
    { ...line, peer: 'unknown', now: false },
  ])
})

test('says so where no worker can answer', async () => {
  const { ask, lines } = open({ endSessions: () => Promise.reject(new Unavailable('no worker answers')) })
  assert.deepEqual(await ask('DELETE', '?all=true'), {
    status: 503,
    json: { error: 'no worker answers' },
    why: 'no worker answers',
  })
  assert.deepEqual(lines, [])
})

test('asks all instances, or with scope=instance this one alone', async () => {
  const told = { sessions: [], total: 0 }
  const { ask, lines, listed } = open(
    {},
    {
      sessions: () => Promise.resolve({ ...told, total: 1 }),
      endSessions: () => Promise.resolve({ ended: 1 }),
    },
  )
  assert.deepEqual((await ask('GET', '?scope=all')).json, told)
  assert.deepEqual((await ask('GET', '')).json, told)
  assert.equal(listed.length, 2)
  assert.deepEqual((await ask('GET', '?scope=instance')).json, { ...told, total: 1, scope: 'instance' })
  assert.deepEqual((await ask('DELETE', '?all=true&scope=instance')).json, { ended: 1, scope: 'instance' })
  assert.equal(lines.length, 1)
  assert.match((await ask('GET', '?scope=other')).why, /scope: all or instance/)
})

test('does not report an unknown back end while the answer of an instance is missing', async () => {
  for (const partly of [
    { scope: 'partial' as const, why: 'Redis: ECONNREFUSED' },
    { scope: 'all' as const, silent: ['mail2/0123456789ab'] },
    { scope: 'all' as const, lost: ['mail2/0123456789ab'] },
    { scope: 'all' as const, instances: [{ instance: 'mail2/0123456789ab', ended: 0, incomplete: [2] }] },
  ]) {
    const { ask } = open({ endSessions: () => Promise.resolve({ ended: 0, ...partly }) })
    assert.deepEqual((await ask('DELETE', '?backend=store9')).json, { ended: 0, ...partly })
  }
})
