/** The reload in the API: with the token alone, and with the reason for a refusal. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildAdmin } from '../../../src/admin/admin.ts'
import { errorAnswer } from '../../../src/admin/answers.ts'
import {
  comparisonAnswer,
  configAnswer,
  reloadAnswer,
  type ComparisonAnswer,
} from '../../../src/admin/configuration-answers.ts'
import type { ApiParts } from '../../../src/admin/api.ts'
import { keepLog } from '../backend/fixture.ts'
import { NO_PARTS } from './parts.ts'
import { tokensOf } from './tokens.ts'

const TOKEN = 'open-sesame'
const STATUS = { file: '/etc/mailmux/mailmux.yaml', loadedMs: 7, failure: { atMs: 8, errors: ['wrong'] } }

const COMPARISON: ComparisonAnswer = {
  file: STATUS.file,
  changes: [
    {
      what: 'back end',
      name: 'store1',
      change: 'removed',
      text: 'back end store1: removed',
      affected: { sessions: 1, users: 2 },
    },
  ],
  restart: ['directory'],
}

type Result = Awaited<ReturnType<ApiParts['configuration']['reload']>>

function open(result: Result, hasToken = true) {
  let reloads = 0
  const { log, lines } = keepLog()
  const api: ApiParts = {
    ...NO_PARTS,
    tokens: () => (hasToken ? tokensOf(TOKEN) : []),
    configuration: {
      reload() {
        reloads++
        return Promise.resolve(result)
      },
      status: () => STATUS,
      compare: () => Promise.resolve(COMPARISON),
    },
    limits: () => Promise.resolve({ limits: [] }),
  }
  const metrics = { render: () => Promise.resolve(''), contentType: 'text/plain' }
  const app = buildAdmin({ notReady: () => undefined, metrics, api, hosts: new Set(), log })
  const ask = async (method: 'GET' | 'POST', path: string, bearer = TOKEN) => {
    const headers = { authorization: `Bearer ${bearer}` }
    const response = await app.request(
      `http://127.0.0.1:9143/api/v1${path}`,
      { method, headers },
      {
        incoming: { socket: { remoteAddress: '192.0.2.1', setTimeout: () => undefined } },
      },
    )
    const json: unknown = await response.json()
    return { status: response.status, json }
  }
  return { ask, lines, reloads: () => reloads }
}

const DONE: Result = {
  changes: [{ what: 'listener', name: 'pop3', change: 'removed', text: 'listener pop3: removed' }],
  warnings: ['a warning'],
  late: [2],
}

test('reloads, tells what has changed, and logs who has asked', async () => {
  const { ask, lines, reloads } = open(DONE)
  const { status, json } = await ask('POST', '/reload')
  assert.deepEqual([status, json, reloadAnswer.strict().parse(json)], [200, DONE, DONE])
  assert.equal(reloads(), 1)
  assert.deepEqual(
    lines.map(({ message, peer }) => [message, peer]),
    [['reload requested by operator', '192.0.2.1']],
  )
})

test('reloads with the token alone', async () => {
  const { ask, reloads } = open(DONE)
  assert.equal((await ask('POST', '/reload', 'wrong')).status, 401)
  const tokenless = open(DONE, false)
  assert.equal((await tokenless.ask('POST', '/reload')).status, 403)
  assert.deepEqual([reloads(), tokenless.reloads()], [0, 0])
})

test('tells the one error of a refused reload, or each of several', async () => {
  const one = await open({ errors: ['the port is in use'] }).ask('POST', '/reload')
  assert.deepEqual(one, { status: 409, json: { error: 'the port is in use' } })
  const { status, json } = await open({ errors: ['first', 'second'] }).ask('POST', '/reload')
  assert.deepEqual([status, errorAnswer.parse(json)], [409, { error: '2 errors', errors: ['first', 'second'] }])
})

test('tells when the configuration was read, and what became of the last reload', async () => {
  const { status, json } = await open(DONE).ask('GET', '/config')
  assert.deepEqual([status, json, configAnswer.strict().parse(json)], [200, STATUS, STATUS])
})

test('tells what a reload would change, and does not reload', async () => {
  const { ask, reloads } = open(DONE)
  const { status, json } = await ask('GET', '/reload')
  assert.deepEqual([status, json, comparisonAnswer.strict().parse(json)], [200, COMPARISON, COMPARISON])
  assert.equal(reloads(), 0)
})
