/** All parts of the API of a mailmux that answers nothing: a test gives those that it asks for. */
import type { ApiParts } from '../../../src/admin/api.ts'
import { buildAdmin } from '../../../src/admin/admin.ts'
import type { RequestLimits } from '../../../src/admin/request-limits.ts'
import { keepLog } from '../backend/fixture.ts'
import { NO_BLOCKS } from './no-blocks.ts'
import { NO_ROUTES } from './no-routes.ts'
import { NO_DRAIN } from './no-drain.ts'
import { NO_LOG_LEVEL } from './no-log-level.ts'
import { NO_RELEASE } from './no-release.ts'
import { NO_STATUS } from './no-status.ts'

const never = (): Promise<never> => Promise.reject(new Error('not asked here'))

export const NO_PARTS: ApiParts = {
  tokens: () => [],
  explain: never,
  testLogin: never,
  backends: never,
  instances: never,
  setBackendState: never,
  sessions: never,
  endSessions: never,
  site: { sessions: never, endSessions: never },
  upgrade: never,
  drain: NO_DRAIN,
  logLevel: NO_LOG_LEVEL,
  release: NO_RELEASE,
  ...NO_STATUS,
  configuration: { reload: never, status: () => ({ file: '', loadedMs: 0 }), compare: never },
  moves: { report: () => true, ofInstance: never, ofSite: never },
  blocks: NO_BLOCKS,
  routes: NO_ROUTES,
  limits: never,
  traces: { collect: never, end: never },
  isConfigured: () => true,
}

/** The admin HTTP with these parts, without a socket. */
export function adminWith(parts: Partial<ApiParts>, limits?: RequestLimits) {
  const { log, lines } = keepLog()
  const metrics = { render: () => Promise.resolve(''), contentType: 'text/plain' }
  const api = { ...NO_PARTS, ...parts }
  const ready = { notReady: () => undefined, hosts: new Set<string>() }
  return { app: buildAdmin({ ...ready, metrics, api, log, ...(limits && { limits }) }), lines }
}
