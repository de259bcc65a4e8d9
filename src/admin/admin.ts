/** The operators' HTTP: is it alive, is it ready, what are its figures, and the API. Knows the program only through what it is handed. */
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { systemCode } from '../errors.ts'
import type { Log } from '../log.ts'
import { buildApi, Unavailable, type ApiParts } from './api.ts'
import { refuse } from './guard.ts'

export type AdminParts = {
  /** undefined: ready; else why not */
  notReady: () => string | undefined
  metrics: { render: () => Promise<string>; contentType: string }
  api: ApiParts
  log: Log
}

/** @returns the routes, without a socket */
export function buildAdmin({ notReady, metrics, api, log }: AdminParts): Hono {
  const app = new Hono()
  app.get('/livez', (c) => c.text('ok\n'))
  app.get('/readyz', (c) => {
    const why = notReady()
    return why === undefined ? c.text('ok\n') : c.text(`${why}\n`, 503)
  })
  app.get('/metrics', async (c) => c.body(await metrics.render(), 200, { 'content-type': metrics.contentType }))
  app.route('/api/v1', buildApi(api))
  app.onError((error, c) => {
    if (error instanceof HTTPException) return error.getResponse() // of a middleware that has refused
    if (error instanceof Unavailable) return refuse(c, 503, error.message)
    log.error({ err: error }, 'defect')
    return refuse(c, 500, 'internal error')
  })
  return app
}

/** @throws Error with a message for the operator. @returns how to close it */
export function openAdmin(app: Hono, { host, port }: { host: string; port: number }): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, () => resolve(() => server.close()))
    server.once('error', (error) => reject(new Error(`admin: cannot listen on ${host}:${port}: ${systemCode(error)}`)))
  })
}
