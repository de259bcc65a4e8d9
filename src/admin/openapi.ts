/** The OpenAPI 3.1 description of the API, made of the declarations of its routes, so that it cannot differ from what requests are held against. */
import { z } from 'zod'
import { errorAnswer } from './answers.ts'
import { declare, type RouteDeclaration, type Routes } from './declared.ts'

type Schema = z.core.JSONSchema.JSONSchema

const BASE = '/api/v1'
const BEARER = 'token'

/** What each route may refuse, beside what its declaration has. */
const COMMON = {
  401: 'the token is missing or wrong',
  429: 'too many requests, or wrong tokens, come from this address; Retry-After says how many seconds to wait',
  500: 'a defect; the log has a line',
} as const
const MISMATCH = 'the request does not match: each mistake is told with its place'
const NO_RIGHT = 'the token does not have the right, or a change is requested where no token is configured'

const describeRoutes = declare({
  method: 'get',
  path: '/openapi.json',
  right: 'read',
  summary: 'This description',
  answer: z.looseObject({ openapi: z.string(), info: z.looseObject({ title: z.string(), version: z.string() }) }),
  example: { answer: { openapi: '3.1.1', info: { title: 'mailmux', version: '1' }, paths: {} } },
})

/** Describes all routes that `routes` has when the description is asked for. */
export function addDescription(routes: Routes): void {
  routes.add(describeRoutes, () => describeApi(routes.declared))
}

export function describeApi(routes: readonly RouteDeclaration[]) {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const path = `${BASE}${route.path.replace(/:(\w+)/g, '{$1}')}`
    paths[path] = { ...paths[path], [route.method]: describeRoute(route) }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'mailmux',
      version: '1',
      summary: 'The admin API of mailmux',
      description:
        'Later versions may add paths, parameters and fields; what is described here does not change. docs/admin-api.md explains it.',
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      schemas: { Error: schemaOf(errorAnswer, 'output') },
      securitySchemes: {
        [BEARER]: {
          type: 'http',
          scheme: 'bearer',
          description: 'A token of admin.token_file or admin.tokens_file. The Unix socket needs none.',
        },
      },
    },
  }
}

function describeRoute(route: RouteDeclaration): object {
  const { method, path, right, summary, body, answer, example, contentType = 'application/json' } = route
  const parameters = [
    ...parametersOf('path', route.params, example.params),
    ...parametersOf('query', route.query, example.query),
  ]
  return {
    operationId: operationIdOf(method, path),
    summary,
    description: right === 'none' ? 'Needs no right.' : `Needs the right ${right}.`,
    // Without a token in the configuration everything may be read.
    security: [{ [BEARER]: right === 'none' ? [] : [right] }, ...(right === 'operate' ? [] : [{}])],
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: !body.safeParse(undefined).success,
        content: {
          'application/json': { schema: schemaOf(body, 'input'), ...(example.body && { example: example.body }) },
        },
      },
    }),
    responses: {
      200: {
        description: 'Done',
        content: { [contentType]: { schema: schemaOf(answer, 'output'), example: example.answer } },
      },
      ...refusalsOf(route),
    },
  }
}

function refusalsOf({ refusals = {}, right }: RouteDeclaration): Record<string, object> {
  const all: Record<string, string> = {
    ...COMMON,
    ...(right !== 'none' && { 403: NO_RIGHT }),
    ...refusals,
    400: [MISMATCH, refusals[400]].filter(Boolean).join('; or '),
  }
  if (right !== 'none' && refusals[403] !== undefined) all[403] = `${NO_RIGHT}; or ${refusals[403]}`
  const content = { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } }
  return Object.fromEntries(Object.entries(all).map(([status, description]) => [status, { description, content }]))
}

function parametersOf(
  place: 'path' | 'query',
  fields: z.ZodObject,
  examples: Readonly<Record<string, string>> = {},
): object[] {
  const { properties = {}, required = [] } = schemaOf(fields, 'input')
  return Object.entries(properties).map(([name, schema]) => {
    const description = typeof schema === 'object' ? schema.description : undefined
    return {
      name,
      in: place,
      required: place === 'path' || required.includes(name),
      ...(description !== undefined && { description }),
      schema,
      ...(examples[name] !== undefined && { example: examples[name] }),
    }
  })
}

/** `putBackendsNameState` */
function operationIdOf(method: string, path: string): string {
  const words = path.split(/[^a-zA-Z]+/).filter((word) => word !== '')
  return [method, ...words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))].join('')
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Schema {
  // A value that JSON Schema cannot express, such as the result of a parser, may be anything there.
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}
