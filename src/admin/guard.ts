/**
 * Which requests are answered. A browser on the same machine reaches a loopback address too, and its pages may come from any site:
 * no page may read users and their back ends. There is no CORS, so pages of other sites cannot read an answer; this file refuses the rest.
 */
import type { Socket } from 'node:net'
import type { Context, MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { isAddress, isLoopbackAddress, unbracketHost } from '../net/address.ts'

/**
 * DNS rebinding: a page's own name is made to lead to this address, and the browser takes the answer for the page's. Its requests still
 * carry that name, which is neither an address nor localhost nor a name of this machine that the configuration has.
 * @param hosts in lower case
 */
export function refuseForeignNames(hosts: { has: (name: string) => boolean }, refused: () => void): MiddlewareHandler {
  return async (c, next) => {
    const { hostname } = new URL(c.req.url)
    const isOwn = hostname === 'localhost' || isAddress(unbracketHost(hostname)) || hosts.has(hostname)
    if (isOwn) return next()
    refused()
    return refuse(c, 403, 'this is answered under an address, localhost, or a name of admin.hosts alone')
  }
}

/**
 * A login on request, the state of a back end and the report of a move have a body. Any other body is refused before it is read. A
 * refused request is the last on its connection, so that its body need not be read either.
 */
export const refuseBodies: MiddlewareHandler = async (c, next) => {
  const length = c.req.header('content-length')
  const hasBody = c.req.header('transfer-encoding') !== undefined || (length !== undefined && length !== '0')
  if (hasBody && c.req.method !== 'POST' && c.req.method !== 'PUT') c.res = refuse(c, 413, 'a question has no body')
  else await next()
  if (c.res.status >= 400) c.res.headers.set('connection', 'close')
}

/** A password and the braces around it. */
export const MAX_BODY_BYTES = 8192

/** Refuses a body that is too long before it is read. */
export function boundBody(mostBytes: number): MiddlewareHandler {
  return bodyLimit({
    maxSize: mostBytes,
    onError: (c) => refuse(c, 413, `the body is longer than ${mostBytes} octets`),
  })
}

/** What a browser must not do with an answer: keep it, guess its type, show it as part of another page, or tell other sites its address. */
export const forbidBrowsers: MiddlewareHandler = async (c, next) => {
  c.header('cache-control', 'no-store')
  c.header('x-content-type-options', 'nosniff')
  c.header('cross-origin-resource-policy', 'same-origin')
  c.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
  c.header('x-frame-options', 'DENY')
  c.header('referrer-policy', 'no-referrer')
  return next()
}

/** What a page of another site has sent off, and could not read, is not looked at either. */
export function refuseOtherSites(refused: () => void): MiddlewareHandler {
  return async (c, next) => {
    if (!isOfOtherSite(c)) return next()
    refused()
    return refuse(c, 403, 'this is not for pages of other sites')
  }
}

function isOfOtherSite(c: Context): boolean {
  const site = c.req.header('sec-fetch-site')
  const origin = c.req.header('origin')
  // A link in a wiki may lead to the status page. A page cannot read what it leads to, and may not frame it.
  if (c.req.path === '/' && c.req.header('sec-fetch-mode') === 'navigate') return false
  return site === undefined
    ? origin !== undefined && origin !== new URL(c.req.url).origin // browsers of before 2023
    : site !== 'same-origin' && site !== 'none'
}

/**
 * A password may be sent to this HTTP, which is in clear, from this machine alone.
 * @param ends of the connection, as either side sees them
 */
export function isWithinMachine({
  localAddress,
  remoteAddress,
}: Pick<Socket, 'localAddress' | 'remoteAddress'>): boolean {
  return remoteAddress !== undefined && (remoteAddress === localAddress || isLoopbackAddress(remoteAddress))
}

export function refuse(
  c: Context,
  status: 400 | 401 | 403 | 404 | 409 | 413 | 415 | 429 | 500 | 503,
  error: string,
): Response {
  return c.json({ error }, status)
}
