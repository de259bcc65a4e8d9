/** The HTTP of operators: the status page, `/livez`, `/readyz`, `/metrics` and the API. It knows the program only by the functions that it is given. */
import { createServer, type Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { Hono, type Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { systemCode } from '../errors.ts'
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'
import { bracketHost } from '../net/address.ts'
import { isOverSocket, limitRequests, type AdminEnv } from './access.ts'
import { buildApi, Unavailable, type ApiParts } from './api.ts'
import { inTurn, type Fetch } from './in-turn.ts'
import { addPageRoutes } from './page-routes.ts'
import { forbidBrowsers, refuse, refuseBodies, refuseForeignNames, refuseOtherSites } from './guard.ts'
import { createRequestLimits, type RequestLimits } from './request-limits.ts'

export type AdminParts = {
  /** undefined: ready; else why not */
  notReady: () => string | undefined
  metrics: { render: () => Promise<string>; contentType: string }
  api: ApiParts
  /** names of this machine, in lower case, under which it may be asked beside its addresses and localhost */
  hosts: { has: (name: string) => boolean }
  log: Log
  /** on the requests of one address */
  limits?: RequestLimits
}

/** A container or a balancer whose checks come from the address of a flood must not be taken for one that is down. */
const ALWAYS_ANSWERED: ReadonlySet<string> = new Set(['/livez', '/readyz'])

/** What answers the requests. */
export type AdminApp = {
  fetch: Fetch
  /** answers without a connection; `env` has what is known of one */
  request: (url: string, init?: RequestInit, env?: object) => Response | Promise<Response>
  /** Ends what has no end by itself. */
  close: () => void
}

/** @returns the routes, without a socket */
export function buildAdmin({
  notReady,
  metrics,
  api,
  hosts,
  log,
  limits = createRequestLimits(),
}: AdminParts): AdminApp {
  const app = new Hono<AdminEnv>()
  const { refused = () => undefined } = api
  app.use(forbidBrowsers, limitRequests(limits, refused, ALWAYS_ANSWERED))
  app.use(refuseBodies)
  app.use(refuseOtherSites(() => refused('site')))
  const known = refuseForeignNames(hosts, () => refused('host'))
  // With tokens the API needs no name: no web page has one of them. No browser reaches the Unix socket.
  const hasNoName = (c: Context<AdminEnv>): boolean =>
    isOverSocket(c.env) || (api.tokens().length > 0 && c.req.path.startsWith('/api/v1/'))
  app.use((c, next) => (hasNoName(c) ? next() : known(c, next)))
  app.get('/livez', (c) => c.text('ok\n'))
  app.get('/readyz', (c) => {
    const why = notReady()
    return why === undefined ? c.text('ok\n') : c.text(`${why}\n`, 503)
  })
  app.get('/metrics', async (c) => c.body(await metrics.render(), 200, { 'content-type': metrics.contentType }))
  addPageRoutes(app, () => api.tokens().length > 0)
  const { app: routes, close } = buildApi(api, { limits, log })
  app.route('/api/v1', routes)
  app.onError((error, c) => {
    if (error instanceof HTTPException) return error.getResponse() // of a middleware that has refused
    if (error instanceof Unavailable) return refuse(c, 503, error.message)
    log.error({ err: error }, 'defect')
    return refuse(c, 500, 'internal error')
  })
  return { fetch: app.fetch, request: app.request, close }
}

/** Connections at a time: a scraper, a load balancer's checks and some operators. More are closed at once. */
const MAX_CONNECTIONS = 64
/** What a client on the same network needs milliseconds for. A slower one would keep one of the connections. */
const HEAD_MS = 5000
/** The head and the body, which is 8 KiB at most. */
const REQUEST_MS = 10_000
/** How often both are looked at. */
const CHECK_EVERY_MS = 1000
/** Without a byte either way: a client that does not read its answer. Longer than any answer but a login's takes. */
const IDLE_MS = 30_000

const SERVER_OPTIONS = {
  headersTimeout: HEAD_MS,
  requestTimeout: REQUEST_MS,
  connectionsCheckingInterval: CHECK_EVERY_MS,
  maxHeaderSize: 16_384,
}

export type AdminServerParts = {
  log: Log
  /** counts each connection that was closed as one too many, and each that could not be accepted */
  refused: () => void
}

/**
 * @param hostname of a request without Host, which HTTP/1.0 allows
 * @param isSocket it is to listen on the Unix socket
 */
export function createAdminServer(
  app: Pick<AdminApp, 'fetch'>,
  { hostname, isSocket }: { hostname: string; isSocket: boolean },
  { log, refused }: AdminServerParts,
): Server {
  const fetch: Fetch = isSocket ? (request, env) => app.fetch(request, { ...env, isSocket: true }) : app.fetch
  const server = createAdaptorServer({
    fetch: inTurn(fetch),
    hostname,
    createServer,
    serverOptions: SERVER_OPTIONS,
  }) as Server
  server.maxConnections = MAX_CONNECTIONS
  server.timeout = IDLE_MS
  const limit = createLogLimit()
  const onTrouble = (cause: string): void => {
    refused()
    if (limit('admin connection refused')) log.warn({ cause }, 'admin connection refused')
  }
  server.on('drop', () => onTrouble(`more than ${MAX_CONNECTIONS} connections`))
  server.on('error', (error) => {
    if (server.listening) onTrouble(systemCode(error)) // before, the opener learns of it
  })
  return server
}

/** `descriptor`: of its socket, if this process has inherited it */
export type AdminAddress = { host: string; port: number; descriptor?: number | undefined }

export type OpenAdmin = {
  /** Accepts no more connections. May be called twice. */
  close: () => void
  /** listens on the open port */
  server: Server
}

/** @throws Error of the system */
export function openAdmin(
  app: Pick<AdminApp, 'fetch'>,
  { host, port, descriptor }: AdminAddress,
  parts: AdminServerParts,
): Promise<OpenAdmin> {
  const server = createAdminServer(app, { hostname: bracketHost(host), isSocket: false }, parts)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(descriptor === undefined ? { port, host } : { fd: descriptor }, () => {
      server.off('error', reject)
      resolve({
        close: () => void server.close(),
        server,
      })
    })
  })
}
