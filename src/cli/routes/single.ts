/** `mailmux route get`, `set` and `remove`. */
import type { RawRoute, RouteChange } from '../../directory/redis/route-writer.ts'
import { printable } from '../../printable.ts'
import {
  createRouteOrders,
  type FoundRoute,
  type NotDone,
  type RouteDone,
  type RouteOrders,
} from '../../routes/orders.ts'
import { formatJson, type Terminal } from '../ask-running.ts'
import { formatTable } from '../table.ts'
import { TEMPORARY, withRoutes } from './site.ts'

export type RouteOptions = { config: string; json?: true }
export type SetOptions = RouteOptions & { login?: string | false; status?: RouteChange['status'] }

/** @returns the exit code: 0 there is a route, 1 there is none, 2 wrong usage or configuration, 75 no answer of Redis */
export function getRoute(typed: string, { config, json }: RouteOptions, terminal: Terminal): Promise<number> {
  return withOrders('mailmux route get', config, terminal, async (orders) => {
    const found = await orders.find(typed)
    if ('result' in found) return report('mailmux route get', found, terminal)
    for (const line of json ? formatJson(found) : formatFound(found)) terminal.out(line)
    return (found.stored ?? found.fixed ?? found.domain) ? 0 : 1
  })
}

/** @returns the exit code: 0 the route is as ordered, 1 refused, 2 wrong usage or configuration, 75 it may succeed later */
export function setRoute(
  typed: string,
  backend: string | undefined,
  { config, json, login, status }: SetOptions,
  terminal: Terminal,
): Promise<number> {
  const change = { backend, login: login === false ? null : login, status }
  return withOrders('mailmux route set', config, terminal, async (orders) =>
    finish('mailmux route set', await orders.set(typed, change), json, terminal),
  )
}

/** @returns the exit code: 0 there is no route any more, 1 refused, 2 wrong usage or configuration, 75 it may succeed later */
export function removeRoute(typed: string, { config, json }: RouteOptions, terminal: Terminal): Promise<number> {
  return withOrders('mailmux route remove', config, terminal, async (orders) =>
    finish('mailmux route remove', await orders.remove(typed), json, terminal),
  )
}

function withOrders(
  name: string,
  config: string,
  terminal: Terminal,
  use: (orders: RouteOrders) => Promise<number>,
): Promise<number> {
  return withRoutes(name, config, terminal, ({ settings, redis, redisSettings }) =>
    use(createRouteOrders(redis, redisSettings.prefix, settings.routing)),
  )
}

function finish(name: string, done: RouteDone | NotDone, json: true | undefined, terminal: Terminal): number {
  if (done.result === 'wrong' || done.result === 'refused') return report(name, done, terminal)
  for (const line of json ? formatJson(done) : formatDone(done)) terminal.out(line)
  return 0
}

function report(name: string, notDone: NotDone, { printError }: Terminal): number {
  printError(printable(`${name}: ${notDone.why}`))
  if (notDone.result === 'wrong') return 2
  return notDone.isTemporary ? TEMPORARY : 1
}

/** Exported for its test. */
export function formatFound({ user, stored, fixed, domain }: FoundRoute): string[] {
  const rows: [string, string][] = [['user', user]]
  if (fixed)
    rows.push(['routing file', `${describe({ ...fixed, status: undefined })}${stored ? '; it takes precedence' : ''}`])
  if (stored) rows.push(['Redis', describe(stored)])
  if (domain !== undefined)
    rows.push(['domain', `${domain}, by the routing file${stored || fixed ? '; for users without a route' : ''}`])
  if (rows.length === 1) rows.push(['route', 'none, neither in Redis nor in the routing file'])
  return formatTable(rows.map(([label, text]) => ({ label, lines: [[text]] })))
}

/** Exported for its test. */
export function formatDone({ result, user, before, after, notes }: RouteDone): string[] {
  const was = before && after ? `; before: ${describe(before)}` : ''
  const now = after
    ? describe(after)
    : result === 'changed'
      ? `removed${before ? `; before: ${describe(before)}` : ''}`
      : 'there was no route in Redis'
  const line = result === 'unchanged' && after ? `${user}: unchanged: ${describe(after)}` : `${user}: ${now}${was}`
  return [line, ...notes].map(printable)
}

function describe({ backend, login, status, hold }: RawRoute & { hold?: string | undefined }): string {
  const words = [backend ?? 'no back end']
  if (login !== undefined) words.push(`login ${login}`)
  if (status !== undefined && status !== 'active') words.push(hold === undefined ? status : `${status} until ${hold}`)
  return words.join(', ')
}
