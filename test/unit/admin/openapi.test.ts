/** The description of the API: valid, complete, and true: each example is a request that is answered as it says. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { z } from 'zod'
import { openAdmin, type OpenAdmin } from '../../../src/admin/admin.ts'
import { buildApi, type ApiParts } from '../../../src/admin/api.ts'
import { freePort } from '../../support/ports.ts'
import { keepLog } from '../backend/fixture.ts'
import { adminWith, NO_PARTS } from './parts.ts'
import { tokenWith } from './tokens.ts'

const TOKEN = 'a-token-to-operate'

const { declared } = buildApi(NO_PARTS, { log: keepLog().log })

/** What the declaration of a route gives as its answer. */
function answerOf<A>(method: string, path: string): Promise<A> {
  const route = declared.find((one) => one.method === method && one.path === path)
  assert.ok(route, `${method} ${path}`)
  return Promise.resolve(route.example.answer as A)
}

type Of<F extends (...args: never[]) => unknown> = Exclude<
  Awaited<ReturnType<F>>,
  { wrong: string } | { error: string }
>

/** Parts that answer as the examples say. A new route needs its part here. */
async function partsOfExamples(): Promise<ApiParts> {
  const login = await answerOf<{ trial: Of<ApiParts['testLogin']> }>('post', '/routes/:user/login')
  const block = await answerOf<{ block: ReturnType<ApiParts['blocks']['list']>['blocks'][number] }>('post', '/blocks')
  const sessions = {
    sessions: () => answerOf<Of<ApiParts['sessions']>>('get', '/sessions'),
    endSessions: () => answerOf<Of<ApiParts['endSessions']>>('delete', '/sessions'),
  }
  const route = { backend: 'store1', login: undefined, status: undefined }
  const setRoute = (user: string) =>
    Promise.resolve({ result: 'changed' as const, user, before: route, after: undefined, notes: [] })
  const moves = () => answerOf<Of<ApiParts['moves']['ofSite']>>('get', '/moves')
  const blockDone = () => Promise.resolve({ result: 'done', block: block.block, applied: { ended: 1 } } as const)
  const trace = () => answerOf<Of<ApiParts['traces']['end']>>('post', '/traces')
  const listed = await answerOf<ReturnType<ApiParts['blocks']['list']>>('get', '/blocks')
  const config = await answerOf<ReturnType<ApiParts['configuration']['status']>>('get', '/config')
  const logLevel = await answerOf<ReturnType<ApiParts['logLevel']['status']>>('get', '/log-level')
  const history = await answerOf<ReturnType<ApiParts['history']>>('get', '/history')
  return {
    ...NO_PARTS,
    tokens: () => [tokenWith('alice', ['read', 'operate'], TOKEN)],
    explain: () => answerOf<Of<ApiParts['explain']>>('get', '/routes/:user'),
    testLogin: () => Promise.resolve(login.trial),
    backends: async () => (await answerOf<{ backends: Of<ApiParts['backends']> }>('get', '/backends')).backends,
    instances: () => answerOf<Of<ApiParts['instances']>>('get', '/instances'),
    setBackendState: () => Promise.resolve({ result: 'changed' }),
    ...sessions,
    site: sessions,
    upgrade: () => answerOf<Of<ApiParts['upgrade']>>('post', '/upgrade'),
    drain: {
      order: () => answerOf<Of<ApiParts['drain']['order']>>('post', '/drain'),
      status: () => answerOf<Of<ApiParts['drain']['status']>>('get', '/drain'),
    },
    release: { order: () => answerOf<Of<ApiParts['release']['order']>>('post', '/release'), confirm: () => true },
    configuration: {
      reload: async () =>
        answerOf<Exclude<Of<ApiParts['configuration']['reload']>, { errors: string[] }>>('post', '/reload'),
      status: () => config,
      compare: () => answerOf<Of<ApiParts['configuration']['compare']>>('get', '/reload'),
    },
    moves: { report: () => true, ofInstance: moves, ofSite: moves },
    blocks: { list: () => listed, block: blockDone, unblock: blockDone },
    routes: {
      list: () => Promise.resolve({ routes: [{ user: 'alice@example.test', ...route }], more: false }),
      set: setRoute,
      remove: setRoute,
    },
    limits: () => answerOf<Of<ApiParts['limits']>>('get', '/limits'),
    logLevel: {
      status: () => logLevel,
      set: () => Promise.resolve(logLevel),
      reset: () => answerOf<Of<ApiParts['logLevel']['reset']>>('delete', '/log-level'),
    },
    status: () => answerOf<Of<ApiParts['status']>>('get', '/status'),
    history: () => history,
    refusals: () => answerOf<Of<ApiParts['refusals']>>('get', '/refusals'),
    traces: { collect: trace, end: trace },
  }
}

type Media = Record<string, { schema: z.core.JSONSchema.JSONSchema; example?: unknown }>
type Operation = {
  operationId: string
  parameters?: { name: string; in: string; required: boolean; example?: string }[]
  requestBody?: { required: boolean; content: Media }
  responses: Record<string, { content: Media }>
  security: object[]
}
type Description = { paths: Record<string, Record<string, Operation>> }

let description: Description
let port: number
let opened: OpenAdmin
let close: () => void

before(async () => {
  const { app } = adminWith(await partsOfExamples())
  port = await freePort()
  opened = await openAdmin(app, { host: '127.0.0.1', port }, { log: keepLog().log, refused: () => undefined })
  close = app.close
  description = JSON.parse((await send('GET', '/api/v1/openapi.json')).body) as Description
})
after(() => {
  close()
  opened.close()
  opened.server.closeAllConnections()
})

/** @returns of a stream its first octets */
async function send(method: string, path: string, body?: unknown) {
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  const asked = request({ port, host: '127.0.0.1', method, path, headers, agent: false })
  asked.end(body === undefined ? undefined : JSON.stringify(body))
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  const type = response.headers['content-type'] ?? ''
  if (!type.startsWith('text/event-stream')) return { status: response.statusCode, type, body: await text(response) }
  const [chunk] = (await once(response, 'data')) as [Buffer]
  asked.destroy()
  return { status: response.statusCode, type, body: chunk.toString() }
}

/** The path with the values of the examples. */
function fill(path: string, parameters: Operation['parameters'] = []): string {
  const given = parameters.filter(({ example }) => example !== undefined)
  const values = (place: string) =>
    given.filter((one) => one.in === place).map(({ name, example = '' }) => [name, example] as const)
  const filled = values('path').reduce((at, [name, value]) => at.replace(`{${name}}`, encodeURIComponent(value)), path)
  const query = new URLSearchParams(values('query').map(([name, value]) => [name, value]))
  return query.size === 0 ? filled : `${filled}?${query.toString()}`
}

function operations(): { method: string; path: string; operation: Operation }[] {
  return Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  )
}

describe('the description of the API', () => {
  test('is valid OpenAPI 3.1', async () => {
    const result = await new Validator().validate(structuredClone(description))
    assert.deepEqual([result.valid, result.errors], [true, undefined])
  })

  test('has every route, with names of its own', () => {
    const named = operations().map(({ method, path }) => `${method} ${path}`)
    assert.deepEqual(
      named.toSorted(),
      declared.map(({ method, path }) => `${method} /api/v1${path.replace(/:(\w+)/g, '{$1}')}`).toSorted(),
    )
    assert.ok(named.length > 20)
    const ids = operations().map(({ operation }) => operation.operationId)
    assert.equal(new Set(ids).size, ids.length)
  })

  test('names the right that each route needs, and lets nobody operate without a token', () => {
    for (const { method, path, operation } of operations()) {
      const isOpen = operation.security.some((one) => Object.keys(one).length === 0)
      assert.equal(isOpen, method === 'get', `${method} ${path}`)
      for (const status of ['400', '401', '403', '429', '500']) assert.ok(operation.responses[status], status)
    }
  })

  test('has an example of each request, which is answered as the description says', async () => {
    for (const { method, path, operation } of operations()) {
      const what = `${method} ${path}`
      const body = operation.requestBody?.content['application/json']
      assert.deepEqual(
        operation.parameters?.filter(({ required, example }) => required && example === undefined) ?? [],
        [],
        what,
      )
      if (body) z.fromJSONSchema(body.schema).parse(body.example)
      const answer = await send(method.toUpperCase(), fill(path, operation.parameters), body?.example)
      assert.equal(answer.status, 200, `${what}: ${answer.body}`)
      const [type = '', media] = Object.entries(operation.responses[200]?.content ?? {})[0] ?? []
      assert.ok(answer.type.startsWith(type) && media, what)
      const value: unknown = type === 'application/json' ? JSON.parse(answer.body) : answer.body
      z.fromJSONSchema(media.schema).parse(value)
      z.fromJSONSchema(media.schema).parse(media.example)
    }
  })

  test('has answers that its own schemas take', () => {
    for (const { method, path, answer, example } of declared) {
      const result = answer.safeParse(example.answer)
      assert.ok(result.success, `${method} ${path}: ${String(result.error)}`)
    }
  })
})
