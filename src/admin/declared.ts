/**
 * One declaration for each route of the API: what a request may have, which right it needs, what the answer is, and an example. Requests are
 * held against it before a handler runs, and the OpenAPI description is made of it.
 */
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import type { Right } from '../config/settings.ts'
import { allow, type AdminEnv, type Caller } from './access.ts'
import { boundBody, MAX_BODY_BYTES, refuse } from './guard.ts'
import { describeIssues } from './issues.ts'

/** What a route may refuse beside a request that does not match its declaration, with the reason. */
export type Refusals = Partial<Record<400 | 403 | 404 | 409 | 503, string>>

/** As they stand in a request: numbers of a query are text. */
export type RouteExample = {
  params?: Readonly<Record<string, string>>
  query?: Readonly<Record<string, string>>
  body?: object
  answer: unknown
}

type Shared = {
  method: 'get' | 'post' | 'put' | 'delete'
  /** of hono, below /api/v1: `/backends/:name/state` */
  path: string
  /** `none`: it needs no right, but a valid token where the configuration has tokens */
  right: Right | 'none'
  /** one line, without a full stop */
  summary: string
  refusals?: Refusals
  /** of the answer; absent: JSON */
  contentType?: string
  /** of the body, in octets; absent: 8 KiB */
  mostBytes?: number
  example: RouteExample
}

/** A route as the description has it. */
export type RouteDeclaration = Shared & {
  params: z.ZodObject
  query: z.ZodObject
  /** undefined: a request has no body */
  body: z.ZodType | undefined
  answer: z.ZodType
}

type Declared<A extends z.ZodType, P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType> = Shared & {
  params: P
  query: Q
  body: B | undefined
  answer: A
}

const EMPTY = z.strictObject({})

type Empty = typeof EMPTY

/** A body that may be absent is a schema that takes `undefined`. */
export function declare<
  A extends z.ZodType,
  P extends z.ZodObject = Empty,
  Q extends z.ZodObject = Empty,
  B extends z.ZodType = z.ZodUndefined,
>(route: Shared & { answer: A; params?: P; query?: Q; body?: B }): Declared<A, P, Q, B> {
  const { params = EMPTY as P, query = EMPTY as Q, body } = route
  return { ...route, params, query, body }
}

/** A request that matches its declaration. */
export type Asked<P, Q, B> = {
  params: P
  query: Q
  body: B
  caller: Caller
  c: Context<AdminEnv>
}

export type Routes = {
  /** @param handle gives the answer, or a response that refuses */
  add: <A extends z.ZodType, P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>(
    route: Declared<A, P, Q, B>,
    handle: (
      asked: Asked<z.output<P>, z.output<Q>, z.output<B>>,
    ) => z.input<A> | Response | Promise<z.input<A> | Response>,
  ) => void
  /** all that were added */
  declared: readonly RouteDeclaration[]
}

/**
 * @param api answers below /api/v1, and knows the caller of each request
 * @param lacksRight is told each request whose caller does not have the right
 */
export function createRoutes(api: Hono<AdminEnv>, lacksRight: () => void): Routes {
  const declared: RouteDeclaration[] = []
  return {
    declared,
    add(route, handle) {
      declared.push(route)
      const { method, path, right, body, contentType = 'application/json', mostBytes = MAX_BODY_BYTES } = route
      const readsBody = body === undefined ? [] : [boundBody(mostBytes)]
      async function serve(c: Context<AdminEnv>): Promise<Response> {
        const asked = await readRequest(c, route)
        if ('wrong' in asked) return refuseAll(c, asked.wrong)
        const answer = await handle({ ...asked, caller: c.get('caller'), c })
        if (answer instanceof Response) return answer
        return c.body(JSON.stringify(answer), 200, { 'content-type': contentType })
      }
      api.on(method.toUpperCase(), [path], allow(right, lacksRight), ...readsBody, serve)
    },
  }
}

async function readRequest<P extends z.ZodObject, Q extends z.ZodObject, B extends z.ZodType>(
  c: Context<AdminEnv>,
  route: Declared<z.ZodType, P, Q, B>,
): Promise<{ params: z.output<P>; query: z.output<Q>; body: z.output<B> } | { wrong: string[] }> {
  const url = new URL(c.req.url)
  const wrong: string[] = []
  function check<S extends z.ZodType>(where: string, schema: S, value: unknown): z.output<S> | undefined {
    const result = schema.safeParse(value)
    if (result.success) return result.data
    wrong.push(...describeIssues(where, schema, result.error))
    return undefined
  }
  const params = check('path', route.params, readPath(url.pathname, route.path, wrong))
  const query = check('query', route.query, readQuery(url.searchParams, wrong))
  const json = route.body === undefined ? { value: undefined } : readJson(await c.req.text())
  const body = 'wrong' in json ? wrong.push(json.wrong) : check('body', route.body ?? z.undefined(), json.value)
  if (wrong.length > 0 || params === undefined || query === undefined) return { wrong }
  return { params, query, body: body as z.output<B> }
}

/** From the path as it came: hono passes over what is wrongly encoded. */
function readPath(pathname: string, template: string, wrong: string[]): Record<string, string> {
  const names = template.split('/').slice(1)
  const parts = pathname.split('/').slice(-names.length)
  const values: Record<string, string> = {}
  names.forEach((name, index) => {
    if (!name.startsWith(':')) return
    const part = parts[index] ?? ''
    try {
      values[name.slice(1)] = decodeURIComponent(part)
    } catch {
      values[name.slice(1)] = part
      wrong.push(`path.${name.slice(1)}: is not percent-encoded UTF-8`)
    }
  })
  return values
}

function readQuery(given: URLSearchParams, wrong: string[]): Record<string, string> {
  const names = new Set(given.keys())
  for (const name of names) {
    if (given.getAll(name).length > 1) wrong.push(`query.${name.slice(0, 40)}: is given more than once`)
  }
  return Object.fromEntries(given)
}

function readJson(text: string): { value: unknown } | { wrong: string } {
  if (text === '') return { value: undefined }
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return { wrong: 'body: is not JSON' }
  }
}

/** The first mistakes tell what the request was meant to be. */
const MOST_MISTAKES = 10

function refuseAll(c: Context<AdminEnv>, wrong: readonly string[]): Response {
  const errors = wrong.slice(0, MOST_MISTAKES)
  const [only] = errors
  if (errors.length === 1 && only !== undefined) return refuse(c, 400, only)
  return c.json({ error: errors.join('; '), errors }, 400)
}
