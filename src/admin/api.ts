/** The API under /api/v1: asks what it is handed, answers in JSON, bounds what it reads. Each route is declared, see `declared.ts`. */
import { Hono } from 'hono'
import type { AdminToken } from '../config/settings.ts'
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'
import { authenticate, type AdminEnv, type AdminRefusal } from './access.ts'
import { addBackendRoutes, type BackendParts } from './backend-routes.ts'
import { addBlockRoutes, type BlockParts } from './block-routes.ts'
import { createRoutes } from './declared.ts'
import { addDrainRoutes, type DrainParts } from './drain-routes.ts'
import { addExplainRoutes, type ExplainParts } from './explain-routes.ts'
import { refuse } from './guard.ts'
import { createRequestLimits, type RequestLimits } from './request-limits.ts'
import { addLimitRoutes, type LimitParts } from './limit-routes.ts'
import { addMoveRoutes, type MoveRouteParts } from './move-routes.ts'
import { addReleaseRoutes, type ReleaseParts } from './release-routes.ts'
import { addReloadRoutes, type ReloadParts } from './reload-routes.ts'
import { addSessionRoutes, type SessionParts } from './session-routes.ts'
import { addStateRoutes, type StateParts } from './state-routes.ts'
import { addStatusRoutes, type StatusParts } from './status-routes.ts'
import { addTraceRoutes, type TraceParts } from './trace-routes.ts'
import { addUpgradeRoutes, type UpgradeParts } from './upgrade-routes.ts'

export type { RouteQuestion } from './explain-routes.ts'

/** No worker can answer now. The client may ask again. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable'
}

/** Each of them may end so: @throws Unavailable */
export type ApiParts = ExplainParts &
  BackendParts &
  SessionParts &
  StateParts &
  MoveRouteParts &
  BlockParts &
  LimitParts &
  TraceParts &
  ReloadParts &
  UpgradeParts &
  DrainParts &
  ReleaseParts &
  StatusParts & {
    /** Asked for each request, since the files may have changed. None: every program on this machine may read */
    tokens: () => readonly AdminToken[]
    /** counts requests */
    refused?: (why: AdminRefusal) => void
  }

type ApiTools = { log: Log; limits?: RequestLimits }

/** @param limits on the requests of one address */
export function buildApi(parts: ApiParts, { log, limits = createRequestLimits() }: ApiTools): Hono<AdminEnv> {
  const { refused = () => undefined } = parts
  const logLimit = createLogLimit<AdminRefusal>()
  const api = new Hono<AdminEnv>()
  api.use(
    authenticate(parts.tokens, limits, (why, peer) => {
      refused(why)
      const fields = logLimit(why)
      if (fields) log.warn({ peer, ...fields }, 'wrong token of the admin API')
    }),
  )
  const routes = createRoutes(api, () => refused('right'))
  addExplainRoutes(routes, parts)
  addBackendRoutes(routes, parts)
  addStateRoutes(routes, parts, log)
  addSessionRoutes(routes, parts, log)
  addMoveRoutes(routes, parts)
  addBlockRoutes(routes, parts, log)
  addLimitRoutes(routes, parts)
  addTraceRoutes(routes, parts, log)
  addReloadRoutes(routes, parts, log)
  addUpgradeRoutes(routes, parts, log)
  addDrainRoutes(routes, parts, log)
  addReleaseRoutes(routes, parts, log)
  addStatusRoutes(routes, parts)
  api.all('*', (c) => refuse(c, 404, 'the API has no such path'))
  return api
}
