/** The moves in the API: who may report, what a report may hold, and what is listed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildAdmin } from '../../../src/admin/admin.ts'
import { movesAnswer, type MovesAnswer } from '../../../src/admin/answers.ts'
import type { ApiParts } from '../../../src/admin/api.ts'
import { keepLog } from '../backend/fixture.ts'
import { NO_PARTS } from './parts.ts'
import { tokensOf } from './tokens.ts'

const TOKEN = 'open-sesame'
const USER = { user: 'ann@example.test', from: 'store1', to: 'store2', step: 'copy' }
const REPORT = {
  by: 'mail1/7',
  total: 10,
  moved: 1,
  failed: 0,
  unknown: 0,
  running: 2,
  users: [USER],
  isOver: false,
}

function open({ isTaken = true, hasToken = true } = {}) {
  const reported: unknown[] = []
  const own: MovesAnswer = { moves: [] }
  const api: ApiParts = {
    ...NO_PARTS,
    tokens: () => (hasToken ? tokensOf(TOKEN) : []),
    moves: {
      report(run, report) {
        reported.push([run, report])
        return isTaken
      },
      ofInstance: () => Promise.resolve(own),
      ofSite: () => Promise.resolve({ ...own, scope: 'all', silent: ['mail2/0123456789ab'] }),
    },
    limits: () => Promise.resolve({ limits: [] }),
  }
  const metrics = { render: () => Promise.resolve(''), contentType: 'text/plain' }
  const app = buildAdmin({ notReady: () => undefined, metrics, api, hosts: new Set(), log: keepLog().log })
  const ask = async (method: 'GET' | 'PUT', path: string, body?: unknown, bearer = TOKEN) => {
    const headers = { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }
    const init = { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }
    const response = await app.request(`http://127.0.0.1:9143/api/v1/moves${path}`, init, {
      incoming: { socket: { remoteAddress: '192.0.2.1' } },
    })
    const json: unknown = await response.json()
    return { status: response.status, json }
  }
  return { ask, reported }
}

test('takes the report of a run', async () => {
  const { ask, reported } = open()
  assert.deepEqual(await ask('PUT', '/0123456789ab', REPORT), { status: 200, json: { run: '0123456789ab' } })
  assert.deepEqual(reported, [['0123456789ab', REPORT]])
})

test('takes a report with the token alone', async () => {
  const { ask, reported } = open()
  assert.equal((await ask('PUT', '/0123456789ab', REPORT, 'wrong')).status, 401)
  const tokenless = open({ hasToken: false })
  assert.equal((await tokenless.ask('PUT', '/0123456789ab', REPORT)).status, 403)
  assert.deepEqual([reported, tokenless.reported], [[], []])
})

test('refuses what is no report', async () => {
  const { ask, reported } = open()
  for (const [run, body] of [
    ['0123', REPORT],
    ['0123456789AB', REPORT],
    ['0123456789ab', {}],
    ['0123456789ab', { ...REPORT, moved: -1 }],
    ['0123456789ab', { ...REPORT, moved: 1.5 }],
    ['0123456789ab', { ...REPORT, moved: 1e12 }],
    ['0123456789ab', { ...REPORT, by: 'a b' }],
    ['0123456789ab', { ...REPORT, more: 1 }],
    ['0123456789ab', { ...REPORT, users: [{ ...USER, step: 'dance' }] }],
    ['0123456789ab', { ...REPORT, users: [{ ...USER, user: 'x'.repeat(321) }] }],
    ['0123456789ab', { ...REPORT, users: Array(21).fill(USER) }],
  ] as const)
    assert.equal((await ask('PUT', `/${run}`, body)).status, 400, JSON.stringify(body))
  assert.equal((await ask('PUT', '/0123456789ab', { ...REPORT, by: 'x'.repeat(9000) })).status, 413)
  assert.deepEqual(reported, [])
  assert.equal((await open({ isTaken: false }).ask('PUT', '/0123456789ab', REPORT)).status, 409)
})

test('lists the moves of all instances, or of this one', async () => {
  const { ask } = open()
  const all = (await ask('GET', '')).json
  assert.deepEqual(
    [all, movesAnswer.parse(all)],
    Array(2).fill({ moves: [], scope: 'all', silent: ['mail2/0123456789ab'] }),
  )
  assert.deepEqual((await ask('GET', '?scope=instance')).json, { moves: [], scope: 'instance' })
  assert.equal((await ask('GET', '?user=ann')).status, 400)
})
