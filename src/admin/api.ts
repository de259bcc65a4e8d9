/** The API under /api/v1: asks what it is handed, answers in JSON, bounds what it reads. Each route is declared, see `declared.ts`. */
import { randomBytes } from 'node:crypto'
import { Hono } from 'hono'
import type { AdminToken } from '../config/settings.ts'
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'
import { authenticate, type AdminEnv, type AdminRefusal } from './access.ts'
import { createAuditLog } from './audit.ts'
import { addBackendRoutes, type BackendParts } from './backend-routes.ts'
import { addBlockRoutes, type BlockParts } from './block-routes.ts'
import { createRoutes, type RouteDeclaration } from './declared.ts'
import { addDrainRoutes, type DrainParts } from './drain-routes.ts'
import { addEventRoutes } from './event-routes.ts'
import { createEventWatch, type Watched } from './event-watch.ts'
import { createEvents } from './events.ts'
import { addExplainRoutes, type ExplainParts } from './explain-routes.ts'
import { refuse } from './guard.ts'
import { createRequestLimits, type RequestLimits } from './request-limits.ts'
import { addLimitRoutes, type LimitParts } from './limit-routes.ts'
import { addLogRoutes, type LogParts } from './log-routes.ts'
import { addMoveRoutes, type MoveRouteParts } from './move-routes.ts'
import { addDescription } from './openapi.ts'
import { addRefusalRoutes, type RefusalParts } from './refusal-routes.ts'
import { addReleaseRoutes, type ReleaseParts } from './release-routes.ts'
import { addReloadRoutes, type ReloadParts } from './reload-routes.ts'
import { addRouteRoutes, type RouteParts } from './route-routes.ts'
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
  RouteParts &
  StateParts &
  MoveRouteParts &
  BlockParts &
  LimitParts &
  LogParts &
  TraceParts &
  ReloadParts &
  UpgradeParts &
  DrainParts &
  ReleaseParts &
  RefusalParts &
  StatusParts & {
    /** Asked for each request, since the files may have changed. None: every program on this machine may read */
    tokens: () => readonly AdminToken[]
    /** counts requests */
    refused?: (why: AdminRefusal) => void
  }

type ApiTools = { log: Log; limits?: RequestLimits }

export type Api = {
  app: Hono<AdminEnv>
  /** all routes, in the order of the description */
  declared: readonly RouteDeclaration[]
  /** Ends the streams of events. */
  close: () => void
}

/** @param limits on the requests of one address */
export function buildApi(parts: ApiParts, { log, limits = createRequestLimits() }: ApiTools): Api {
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
  const events = createEvents(randomBytes(4).toString('hex'), (hasReaders) => watch.turn(hasReaders))
  const watch = createEventWatch(() => lookAt(parts), events.publish)
  const audit = createAuditLog(log, events.publish)
  addExplainRoutes(routes, parts, audit)
  addRouteRoutes(routes, parts, audit)
  addBackendRoutes(routes, parts)
  addStateRoutes(routes, parts, audit)
  addSessionRoutes(routes, parts, audit)
  addMoveRoutes(routes, parts)
  addBlockRoutes(routes, parts, audit)
  addLimitRoutes(routes, parts)
  addLogRoutes(routes, parts, audit)
  addTraceRoutes(routes, parts, audit)
  addReloadRoutes(routes, parts, audit)
  addUpgradeRoutes(routes, parts, audit)
  addDrainRoutes(routes, parts, audit)
  addReleaseRoutes(routes, parts, audit)
  addStatusRoutes(routes, parts)
  addRefusalRoutes(routes, parts)
  addEventRoutes(routes, events)
  addDescription(routes)
  api.all('*', (c) => refuse(c, 404, 'the API has no such path'))
  return { app: api, declared: routes.declared, close: events.close }
}

async function lookAt({ status, blocks, moves }: ApiParts): Promise<Watched> {
  const [now, { moves: running }] = await Promise.all([status(), moves.ofInstance()])
  return { status: now, blocks: blocks.list().blocks, moves: running }
}
