/** The status page over answers that a test makes up: what no real site has, such as 5,000 sessions, hostile names or an hour of load. */
import { Hono } from 'hono'
import { openAdmin, type OpenAdmin } from '../../src/admin/admin.ts'
import type { SessionAnswer } from '../../src/admin/answers.ts'
import type { AdminEnv } from '../../src/admin/access.ts'
import { addPageRoutes } from '../../src/admin/page-routes.ts'
import type { RefusalsAnswer } from '../../src/admin/refusal-routes.ts'
import type { HistoryAnswer, StatusAnswer } from '../../src/admin/status-answers.ts'
import { createLog } from '../../src/log.ts'
import { NO_LOG_OUTPUT } from './no-log-output.ts'
import { freePort } from './ports.ts'
import type { Scene } from './scene.ts'

export type MadeUp = {
  status: () => StatusAnswer
  samples?: HistoryAnswer['samples']
  sessions?: readonly SessionAnswer[]
  refusals?: RefusalsAnswer['refusals']
  refusalCounts?: RefusalsAnswer['counts']
  /** the answer for each user */
  explain?: (user: string) => object
}

export type MadeUpAdmin = {
  origin: string
  /** The port closes, with its connections. */
  stop: () => void
  start: () => Promise<void>
}

export async function startMadeUpAdmin(
  scene: Scene,
  { status, samples = [], sessions = [], refusals = [], refusalCounts = [], explain }: MadeUp,
): Promise<MadeUpAdmin> {
  const app = new Hono<AdminEnv>()
  addPageRoutes(app, () => false)
  app.get('/api/v1/status', (c) => c.json(status()))
  app.get('/api/v1/history', (c) => {
    const since = Number(c.req.query('since'))
    const { nowMs } = status()
    const answer: HistoryAnswer = { nowMs, everyMs: 5000, samples: samples.filter(({ number }) => number > since) }
    return c.json(answer)
  })
  app.get('/api/v1/sessions', (c) => c.json({ sessions, total: sessions.length, scope: 'all' }))
  app.get('/api/v1/refusals', (c) => c.json({ refusals, counts: refusalCounts }))
  app.get('/api/v1/routes/:user', (c) => c.json(explain?.(c.req.param('user')) ?? {}))
  const port = await freePort()
  const log = createLog(NO_LOG_OUTPUT, { level: 'error', format: 'json' })
  let opened: OpenAdmin | undefined
  const start = async (): Promise<void> => {
    opened = await openAdmin(app, { host: '127.0.0.1', port }, { log, refused: () => undefined })
  }
  const stop = (): void => {
    opened?.close()
    opened?.server.closeAllConnections()
  }
  scene.closeLater(stop)
  await start()
  return { origin: `http://127.0.0.1:${port}`, stop, start }
}
