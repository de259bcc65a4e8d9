/**
 * Orders of operators for single routes in the directory, for commands and the admin API alike. Each is checked against the routing
 * file: a program that can write to Redis can still not send a user anywhere else.
 */
import type { RoutingSettings } from '../config/settings.ts'
import type { RedisClient } from '../directory/redis/client.ts'
import { BadAnswer, causeOf } from '../directory/redis/errors.ts'
import {
  readRemoved,
  readWritten,
  REMOVE_ROUTE,
  SET_ROUTES,
  setArguments,
  toRoute,
  type RawRoute,
  type RouteChange,
} from '../directory/redis/route-writer.ts'
import { MuxError } from '../errors.ts'
import { placedName } from '../routing/new-users.ts'
import { canBeLogin } from '../user-name.ts'
import { describeLoss, readMarkerSign } from './marker.ts'
import { nameRules, readRouteName } from './names.ts'

/** What a route is, wherever it is kept. `hold`: until when, of a move. */
export type FoundRoute = {
  user: string
  /** in Redis */
  stored: (RawRoute & { hold?: string | undefined }) | undefined
  /** in `users` of the routing file, which takes precedence */
  fixed: { backend: string; login: string | undefined } | undefined
  /** of the domain in the routing file, for users without a route of their own */
  domain: string | undefined
}

/** `wrong`: the order makes no sense. `refused`: it does, and cannot be carried out as things are; `isTemporary`: this ends by itself. */
export type NotDone = { result: 'wrong'; why: string } | { result: 'refused'; why: string; isTemporary: boolean }

export type RouteDone = {
  result: 'changed' | 'unchanged'
  user: string
  before: RawRoute | undefined
  after: RawRoute | undefined
  /** what the operator should know, a sentence each */
  notes: string[]
}

const NO_HASH: NotDone = {
  result: 'refused',
  why: 'the key of the route in Redis is not a hash: remove it with redis-cli first',
  isTemporary: false,
}

/** Each throws MuxError `directory-unavailable`. */
export type RouteOrders = {
  find: (typed: string) => Promise<FoundRoute | NotDone>
  set: (typed: string, change: RouteChange) => Promise<RouteDone | NotDone>
  remove: (typed: string) => Promise<RouteDone | NotDone>
}

export function createRouteOrders(
  redis: Pick<RedisClient, 'hmget' | 'eval'>,
  prefix: string,
  routing: RoutingSettings,
): RouteOrders {
  const keyOf = (user: string): string => `${prefix}user:${user}`

  /** @returns the name that has a route, of the two under which a router would look */
  async function nameOf(typed: string): Promise<{ user: string; stored: FoundRoute['stored'] } | NotDone> {
    const read = readRouteName(typed, nameRules(routing))
    if ('wrong' in read) return { result: 'wrong', why: `${JSON.stringify(typed.slice(0, 320))} is ${read.wrong}` }
    const { user } = read
    const stored = await readStored(user)
    const placed = placedName(user)
    if (stored || placed === user) return { user, stored }
    const storedAsPlaced = await readStored(placed)
    return storedAsPlaced ? { user: placed, stored: storedAsPlaced } : { user, stored }
  }

  async function readStored(user: string): Promise<FoundRoute['stored']> {
    const [backend, login, status, hold] = await redis.hmget(keyOf(user), 'backend', 'login', 'status', 'hold')
    const route = toRoute([backend, login, status])
    if (route.backend === undefined && route.login === undefined && route.status === undefined) return undefined
    const until = /^\S+ (\d{1,11})$/u.exec(hold ?? '')?.[1]
    return until === undefined ? route : { ...route, hold: new Date(Number(until) * 1000).toISOString() }
  }

  async function ask<T>(work: () => Promise<T>): Promise<T | NotDone> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof MuxError) throw error
      if (error instanceof Error && error.message.includes('WRONGTYPE')) return NO_HASH
      if (error instanceof BadAnswer) throw new MuxError('directory-unavailable', error.message, error)
      throw new MuxError('directory-unavailable', `Redis: ${causeOf(error)}`, error)
    }
  }

  async function refusalByMarker(): Promise<NotDone | undefined> {
    const sign = await readMarkerSign(redis, prefix)
    return sign.kind === 'lost' ? { result: 'refused', why: describeLoss(sign), isTemporary: false } : undefined
  }

  const held = (user: string, by: string | undefined): NotDone => ({
    result: 'refused',
    why: `${user} is being moved${by === undefined ? '' : ` by ${by}`}: the move ends, or its hold runs out within a minute`,
    isTemporary: true,
  })

  function notesOfPrecedence(user: string): string[] {
    const fixed = routing.users.get(user)
    return fixed ? [`the routing file sends ${user} to ${fixed.backend}, and takes precedence over Redis`] : []
  }

  return {
    find: (typed) =>
      ask(async () => {
        const named = await nameOf(typed)
        if ('result' in named) return named
        const { user, stored } = named
        const domain = routing.domains.get(user.slice(user.indexOf('@') + 1))?.backend
        return { user, stored, fixed: routing.users.get(user), domain }
      }),
    set: (typed, change) =>
      ask(async () => {
        const wrong = checkChange(change, routing)
        if (wrong !== undefined) return { result: 'wrong', why: wrong }
        const named = await nameOf(typed)
        if ('result' in named) return named
        const refusal = await refusalByMarker()
        if (refusal) return refusal
        const { user } = named
        const written = readWritten(await redis.eval(SET_ROUTES, [keyOf(user)], '', ...setArguments(change)))
        switch (written.kind) {
          case 'held':
            return held(user, written.by)
          case 'unknown':
            return { result: 'wrong', why: `${user} has no route in Redis yet: name a back end` }
          case 'wrong-type':
            return NO_HASH
          case 'unchanged':
            return {
              result: 'unchanged',
              user,
              before: written.after,
              after: written.after,
              notes: notesOfPrecedence(user),
            }
          case 'changed': {
            const { before, after } = written
            return {
              result: 'changed',
              user,
              before,
              after,
              notes: [...notesOfPrecedence(user), ...notesOfChange(before, after)],
            }
          }
        }
      }),
    remove: (typed) =>
      ask(async () => {
        const named = await nameOf(typed)
        if ('result' in named) return named
        const refusal = await refusalByMarker()
        if (refusal) return refusal
        const { user } = named
        const removed = readRemoved(await redis.eval(REMOVE_ROUTE, [keyOf(user)]))
        if (removed.kind === 'held') return held(user, removed.by)
        const before = removed.kind === 'removed' ? removed.before : undefined
        const result = removed.kind === 'removed' ? 'changed' : 'unchanged'
        return { result, user, before, after: undefined, notes: [describeNextLogin(user, before, routing)] }
      }),
  }
}

/** @returns what is wrong with it */
export function checkChange(
  { backend, login, status }: RouteChange,
  { backends }: RoutingSettings,
): string | undefined {
  if (backend === undefined && login === undefined && status === undefined)
    return 'the order changes nothing: name a back end, a login or a status'
  if (backend !== undefined && !backends.has(backend))
    return `${JSON.stringify(backend.slice(0, 80))} is no back end of the routing file, which has ${[...backends.keys()].slice(0, 10).join(', ')}${backends.size > 10 ? ' and more' : ''}`
  if (typeof login === 'string' && !canBeLogin(login))
    return `${JSON.stringify(login.slice(0, 80))} cannot be a login name: it has a character that no name may have`
  return undefined
}

function notesOfChange(before: RawRoute | undefined, after: RawRoute): string[] {
  if (before?.backend === undefined || before.backend === after.backend) return []
  return [
    `running sessions of the user end at a safe point and the next login goes to ${after.backend ?? ''}; no mail was copied, which \`mailmux move\` does`,
  ]
}

/** What a login does without the route. */
function describeNextLogin(user: string, before: RawRoute | undefined, routing: RoutingSettings): string {
  const fixed = routing.users.get(user)
  if (fixed) return `the next login goes to ${fixed.backend}, by the routing file`
  const at = user.indexOf('@')
  const domain = at === -1 ? undefined : user.slice(at + 1)
  const ofDomain = domain === undefined ? undefined : routing.domains.get(domain)
  if (ofDomain) return `the next login goes to ${ofDomain.backend}, by the domain ${domain ?? ''} in the routing file`
  const { domains, others } = routing.placement
  const pool = domain !== undefined && domains.has(domain) ? domains.get(domain) : others
  if (!pool) return 'the next login is refused as that of an unknown user, like a wrong password'
  const again =
    before?.backend === undefined
      ? ''
      : `; an instance that remembers the route places the user on ${before.backend} again`
  return `the next login places the user, by \`placement\` of the routing file${again}`
}
