/**
 * Who asks, and with which rights: by a token of the configuration, or over the Unix socket, whose permissions decide. Without a token in the
 * configuration every program of this machine may read, and none may operate.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { HttpBindings } from '@hono/node-server'
import type { Context, MiddlewareHandler } from 'hono'
import type { AdminToken, Right } from '../config/settings.ts'
import { canonicalAddress } from '../net/address.ts'
import { isWithinMachine, refuse } from './guard.ts'
import type { RequestLimits } from './request-limits.ts'

export type Caller = {
  /** the name of the token; undefined: without one */
  token: string | undefined
  /** the address, or `socket` */
  peer: string
  rights: readonly Right[]
  /** whether the same request would be let in now: an answer may take longer than a token is in force */
  isInForce: () => boolean
}

/** `isSocket`: the request came over the Unix socket. The address of a connection is no sign: a closed one of TCP has none either. */
export type AdminBindings = HttpBindings & { isSocket?: true }
export type AdminEnv = { Bindings: AdminBindings; Variables: { caller: Caller } }

/**
 * Why a request is refused before it is looked at, for a metric. `right`: its token does not have it. `rate`: too many come from its address.
 * `host`: it is to a foreign name. `site`: a page of another site sends it.
 */
export type AdminRefusal = 'token' | 'right' | 'rate' | 'host' | 'site'

const ALL: readonly Right[] = ['read', 'operate']
const READ: readonly Right[] = ['read']

/** Limits the requests of each address. @param exempt paths that are always answered. The Unix socket has no limit */
export function limitRequests(
  limits: Pick<RequestLimits, 'request'>,
  refused: (why: AdminRefusal) => void,
  exempt: ReadonlySet<string>,
): MiddlewareHandler<AdminEnv> {
  return async (c, next) => {
    const { peer, isSocket } = originOf(c.env)
    const waitMs = isSocket || exempt.has(c.req.path) ? 0 : limits.request(peer)
    if (waitMs === 0) return next()
    refused('rate')
    return refuseFor(c, waitMs, 'too many requests come from this address')
  }
}

function refuseFor(c: Context, waitMs: number, error: string): Response {
  c.header('retry-after', String(Math.ceil(waitMs / 1000)))
  return refuse(c, 429, error)
}

/**
 * Finds the token of a request, and refuses requests without one that is in force.
 * @param tokens of now, since the file may have changed
 * @param refused is told each wrong token with its address; as `rate` those beyond the limit of the address
 */
export function authenticate(
  tokens: () => readonly AdminToken[],
  limits: Pick<RequestLimits, 'tokenWait' | 'wrongToken'>,
  refused: (why: AdminRefusal, peer: string) => void,
): MiddlewareHandler<AdminEnv> {
  return async (c, next) => {
    const { peer, isSocket } = originOf(c.env)
    const known = tokens()
    if (isSocket || known.length === 0) {
      const isInForce = (): boolean => isSocket || tokens().length === 0
      c.set('caller', { token: undefined, peer, rights: isSocket ? ALL : READ, isInForce })
      return next()
    }
    const given = c.req.header('authorization')
    if (given === undefined) return challenge(c, 401, NEEDS_TOKEN)
    const [, bearer] = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(given) ?? []
    if (bearer === undefined) return challenge(c, 400, NEEDS_TOKEN, 'invalid_request')
    const token = findToken(known, bearer)
    if (token) {
      const isInForce = (): boolean => tokens().some(({ digest }) => digest.reveal() === token.digest.reveal())
      c.set('caller', { token: token.name, peer, rights: token.rights, isInForce })
      return next()
    }
    // Only after the comparison: a forgotten script with an old token must not lock out the others of its address.
    const waitMs = limits.tokenWait(peer)
    if (waitMs > 0) {
      refused('rate', peer)
      return refuseFor(c, waitMs, 'too many wrong tokens come from this address')
    }
    limits.wrongToken(peer)
    refused('token', peer)
    return challenge(
      c,
      401,
      'the token is not the one of admin.token_file, and none of admin.tokens_file',
      'invalid_token',
    )
  }
}

const HOW = 'so it needs admin.token_file or admin.tokens_file in the configuration'
const NEEDS_TOKEN = 'this needs the token of admin.token_file, or one of admin.tokens_file: Authorization: Bearer TOKEN'

/** Each comparison is of two hashes, and all are made, so that the time tells nothing about the tokens. */
function findToken(tokens: readonly AdminToken[], given: string): AdminToken | undefined {
  const digest = createHash('sha256').update(given).digest()
  let found: AdminToken | undefined
  for (const token of tokens) {
    if (timingSafeEqual(Buffer.from(token.digest.reveal(), 'hex'), digest)) found = token
  }
  return found
}

/** RFC 6750 3. */
function challenge(c: Context, status: 400 | 401 | 403, error: string, code?: string, scope?: Right): Response {
  const parts = ['realm="mailmux"', ...(code ? [`error="${code}"`] : []), ...(scope ? [`scope="${scope}"`] : [])]
  c.header('www-authenticate', `Bearer ${parts.join(', ')}`)
  return refuse(c, status, error)
}

/** Lets callers with a right pass. @param refused is told each of the others */
export function allow(right: Right | 'none', refused: () => void): MiddlewareHandler<AdminEnv> {
  return async (c, next) => {
    const { rights, token } = c.get('caller')
    if (right === 'none' || rights.includes(right)) return next()
    refused()
    if (token === undefined) return refuse(c, 403, `this needs the right ${right}, and ${HOW}`)
    return challenge(
      c,
      403,
      `this needs the right ${right}, which the token ${token} does not have`,
      'insufficient_scope',
      right,
    )
  }
}

/** @param env undefined: the request comes from no connection */
export function isOverSocket(env: Partial<AdminBindings> | undefined): boolean {
  return env?.isSocket === true
}

/** The program that asks, for the log. @param env undefined: the request comes from no connection */
function originOf(env: Partial<AdminBindings> | undefined): { peer: string; isSocket: boolean } {
  if (isOverSocket(env)) return { peer: 'socket', isSocket: true }
  const remoteAddress = env?.incoming?.socket.remoteAddress
  return { peer: remoteAddress === undefined ? 'unknown' : canonicalAddress(remoteAddress), isSocket: false }
}

/** Whether what it sends, and is sent, stays on this machine. */
export function isOnMachine({ env }: Context<AdminEnv>): boolean {
  return isOverSocket(env) || isWithinMachine(env.incoming.socket)
}

/** The fields of a log line on an order of an operator: from where, and by which token. */
export function auditOf({ peer, token }: Caller): { peer: string; token?: string } {
  return { peer, ...(token !== undefined && { token }) }
}
