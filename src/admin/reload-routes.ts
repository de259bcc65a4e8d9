/** The configuration in the API: what became of the last reload, and a reload that ends when the new settings are in force. */
import type { HttpBindings } from '@hono/node-server'
import type { Hono } from 'hono'
import type { Log } from '../log.ts'
import type { Secret } from '../secret.ts'
import type { ComparisonAnswer, ConfigAnswer, ReloadAnswer } from './configuration-answers.ts'
import { onlyWithToken, peerOf, refuse } from './guard.ts'

export type ReloadParts = {
  configuration: {
    /** Reads the files and takes them over. `errors`: nothing has changed. */
    reload: () => Promise<ReloadAnswer | { errors: string[] }>
    status: () => ConfigAnswer
    /** Reads the files, and changes nothing. */
    compare: () => Promise<ComparisonAnswer>
  }
}

/** Longer than the deadline of the process that reads the files; nothing is sent meanwhile. */
export const RELOAD_IDLE_MS = 1_860_000

type Env = { Bindings: HttpBindings }
type Parts = ReloadParts & { token: () => Secret | undefined }

export function addReloadRoutes(api: Hono<Env>, { token, configuration }: Parts, log: Log): void {
  api.get('/config', (c) => c.json(configuration.status()))
  api.get('/reload', async (c) => {
    c.env.incoming.socket.setTimeout(RELOAD_IDLE_MS)
    return c.json(await configuration.compare())
  })
  api.post('/reload', onlyWithToken(token), async (c) => {
    c.env.incoming.socket.setTimeout(RELOAD_IDLE_MS)
    log.info({ peer: peerOf(c) }, 'reload requested by operator')
    const result = await configuration.reload()
    if (!('errors' in result)) return c.json(result)
    const { errors } = result
    return errors.length === 1
      ? refuse(c, 409, errors[0] ?? '')
      : c.json({ error: `${errors.length} errors`, errors }, 409)
  })
}
