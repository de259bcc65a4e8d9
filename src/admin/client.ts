/**
 * Asks the API of a running mailmux. What it answers is held against the schemas, since something else may listen there.
 */
import type { z } from 'zod'
import type { Secret } from '../secret.ts'
import {
  backendsAnswer,
  endedAnswer,
  errorAnswer,
  instancesAnswer,
  loginAnswer,
  moveReported,
  routeAnswer,
  sessionsAnswer,
  stateSetAnswer,
  type BackendsAnswer,
  type EndedAnswer,
  type InstancesAnswer,
  type RouteAnswer,
  type SessionsAnswer,
  type StateSetAnswer,
  type LoginTestAnswer,
} from './answers.ts'
import { limitsListed, MOST_LIMITS, type LimitsListed } from './limit-routes.ts'
import { blockDone, blocksListed, type BlockBody, type BlockDone, type BlocksListed } from './block-routes.ts'
import type { RouteQuestion } from './api.ts'
import { drainAnswer, type DrainAnswer } from './drain-routes.ts'
import { levelAnswer, type LevelAnswer, type LevelBody } from './log-routes.ts'
import { comparisonAnswer, reloadAnswer, type ComparisonAnswer, type ReloadAnswer } from './configuration-answers.ts'
import { toPrintable } from '../printable.ts'
import { traceTold, type TraceBody, type TraceTold } from './trace-routes.ts'
import { RELOAD_IDLE_MS } from './reload-routes.ts'
import { UPGRADE_IDLE_MS, upgradeAnswer, type UpgradeAnswer, type UpgradeOrder } from './upgrade-routes.ts'
import { MOST_SESSIONS, type SessionFilter } from './session-routes.ts'
import type { MoveReport } from './move-routes.ts'
import type { StateBody } from './state-routes.ts'
import { fetchAnswer, placeName, Unanswered, type AdminEndpoint, type Request } from './transport.ts'

export { Unanswered } from './transport.ts'

/** Longer than any lookup: `directory.redis.timeout` is seconds at most. */
const LOOKUP_MS = 15_000
/** `/readyz` is answered at once. This is shorter than the timeout of a container's health check, so that the reason is still printed. */
const READINESS_MS = 3000
/** Longer than any login: `limits.backend_timeout` and similar limits together are a minute or two, even if they are raised. */
const LOGIN_MS = 300_000
/** A move waits for its last report, and must not for an instance that hangs. */
const REPORT_MS = 1000
/** 10,000 sessions, of which none takes a kilobyte. */
const MAX_SESSIONS_LENGTH = 10_000_000

const LEVEL_PATH = '/api/v1/log-level'

export type AdminClient = {
  /** Whether mailmux serves, in the words of `/readyz`. @throws Unanswered */
  readiness(): Promise<{ ready: boolean; text: string }>
  /** The text of /metrics. @param signal ends the wait early @throws Unanswered */
  metrics(signal?: AbortSignal): Promise<string>
  /** @throws Unanswered */
  backends(): Promise<BackendsAnswer>
  /** The same, which gives up as early as `readiness`. @throws Unanswered */
  backendsSoon(): Promise<BackendsAnswer>
  /** Gives a back end a state for all instances. @throws Unanswered */
  setBackendState(backend: string, order: StateBody): Promise<StateSetAnswer>
  /** Removes that state. @throws Unanswered */
  resetBackendState(backend: string): Promise<StateSetAnswer>
  /** The oldest sessions that match, as many as can be asked for. @throws Unanswered */
  sessions(filter: SessionFilter): Promise<SessionsAnswer>
  /** Only their number. @throws Unanswered */
  countSessions(filter: SessionFilter): Promise<SessionsAnswer>
  /** Ends the sessions that match; every session with `all`, which goes with no filter. @throws Unanswered */
  endSessions(order: SessionFilter & { all: boolean; now: boolean }): Promise<EndedAnswer>
  /** Ends a share of them over a time, both as an operator writes them. @throws Unanswered */
  rebalance(order: SessionFilter & { all: boolean; share: string; over: string | undefined }): Promise<EndedAnswer>
  /** What a run of `mailmux move` does. @throws Unanswered */
  reportMove(run: string, report: MoveReport): Promise<{ run: string }>
  /** What a reload would change. @throws Unanswered */
  compare(): Promise<ComparisonAnswer>
  /** Takes over the files. `errors`: nothing has changed. @throws Unanswered */
  reload(): Promise<ReloadAnswer | { errors: string[] }>
  /** Hands over to a new version, and waits until that serves. @throws Unanswered */
  upgrade(order: UpgradeOrder): Promise<UpgradeAnswer>
  /** Drains the instance. @throws Unanswered */
  drain(acceptMs: number): Promise<DrainAnswer>
  /** @throws Unanswered */
  drainStatus(): Promise<DrainAnswer>
  /** @throws Unanswered */
  logLevel(): Promise<LevelAnswer>
  /** undefined: the level of the configuration again. @throws Unanswered */
  setLogLevel(order: LevelBody | undefined): Promise<LevelAnswer>
  /** Keeps an address, a network or a user out. @throws Unanswered */
  block(order: BlockBody): Promise<BlockDone>
  /** @throws Unanswered */
  unblock(target: string): Promise<BlockDone>
  /** @throws Unanswered */
  blocks(): Promise<BlocksListed>
  limits(): Promise<LimitsListed>
  /** Begins a trace, and brings its lines when it is repeated. @param signal ends the wait early @throws Unanswered */
  trace(order: TraceBody, signal?: AbortSignal): Promise<TraceTold>
  /** @throws Unanswered */
  instances(): Promise<InstancesAnswer>
  /** @throws Unanswered */
  explain(question: RouteQuestion): Promise<RouteAnswer>
  /** The same, and then logs in with this password. @throws Unanswered; also where mailmux is on another machine */
  testLogin(question: RouteQuestion, password: Secret): Promise<RouteAnswer & { trial: LoginTestAnswer }>
}

export function createAdminClient(endpoint: AdminEndpoint): AdminClient {
  function deleteSessions(query: Parameters<typeof queryOf>[0]): Promise<EndedAnswer> {
    const path = `/api/v1/sessions?${queryOf(query)}`
    return ask(endpoint, { method: 'DELETE', path, withinMs: LOOKUP_MS }, endedAnswer)
  }

  return {
    async readiness() {
      const { status, text } = await fetchAnswer(endpoint, { path: '/readyz', withinMs: READINESS_MS })
      if (status === 200 || status === 503) return { ready: status === 200, text: toPrintable(text.trim(), 200) }
      throw new Unanswered(`${placeName(endpoint)} answers as no mailmux does (HTTP ${status})`)
    },
    async metrics(signal) {
      const asked = { path: '/metrics', withinMs: LOOKUP_MS, mostLength: MAX_SESSIONS_LENGTH, signal }
      const { status, text } = await fetchAnswer(endpoint, asked)
      if (status === 200) return text
      throw new Unanswered(`${placeName(endpoint)} gives no metrics (HTTP ${status})`)
    },
    backends: () => ask(endpoint, { path: '/api/v1/backends', withinMs: LOOKUP_MS }, backendsAnswer),
    backendsSoon: () => ask(endpoint, { path: '/api/v1/backends', withinMs: READINESS_MS }, backendsAnswer),
    setBackendState: (backend, order) =>
      ask(endpoint, { method: 'PUT', path: statePath(backend), body: order, withinMs: LOOKUP_MS }, stateSetAnswer),
    resetBackendState: (backend) =>
      ask(endpoint, { method: 'DELETE', path: statePath(backend), withinMs: LOOKUP_MS }, stateSetAnswer),
    sessions: (filter) =>
      ask(
        endpoint,
        {
          path: `/api/v1/sessions?${queryOf({ ...filter, limit: String(MOST_SESSIONS) })}`,
          withinMs: LOOKUP_MS,
          mostLength: MAX_SESSIONS_LENGTH,
        },
        sessionsAnswer,
      ),
    countSessions: (filter) =>
      ask(
        endpoint,
        { path: `/api/v1/sessions?${queryOf({ ...filter, limit: '0' })}`, withinMs: LOOKUP_MS },
        sessionsAnswer,
      ),
    endSessions: ({ all, now, ...filter }) => deleteSessions({ ...filter, all: String(all), now: String(now) }),
    rebalance: ({ all, ...order }) => deleteSessions({ ...order, all: String(all) }),
    reportMove: (run, report) =>
      ask(endpoint, { method: 'PUT', path: `/api/v1/moves/${run}`, body: report, withinMs: REPORT_MS }, moveReported),
    compare: () => ask(endpoint, { path: '/api/v1/reload', withinMs: RELOAD_IDLE_MS }, comparisonAnswer),
    reload: async () => {
      try {
        return await ask(endpoint, { method: 'POST', path: '/api/v1/reload', withinMs: RELOAD_IDLE_MS }, reloadAnswer)
      } catch (error) {
        if (error instanceof Unanswered && error.isRefused) return { errors: error.errors ?? [error.message] }
        throw error
      }
    },
    upgrade: (order) =>
      ask(endpoint, { method: 'POST', path: '/api/v1/upgrade', body: order, withinMs: UPGRADE_IDLE_MS }, upgradeAnswer),
    drain: (acceptMs) =>
      ask(endpoint, { method: 'POST', path: '/api/v1/drain', body: { acceptMs }, withinMs: LOOKUP_MS }, drainAnswer),
    logLevel: () => ask(endpoint, { path: LEVEL_PATH, withinMs: LOOKUP_MS }, levelAnswer),
    setLogLevel: (order) =>
      ask(
        endpoint,
        { method: order ? 'PUT' : 'DELETE', path: LEVEL_PATH, ...(order && { body: order }), withinMs: LOOKUP_MS },
        levelAnswer,
      ),
    drainStatus: () => ask(endpoint, { path: '/api/v1/drain', withinMs: LOOKUP_MS }, drainAnswer),
    block: (order) =>
      ask(endpoint, { method: 'POST', path: '/api/v1/blocks', body: order, withinMs: LOOKUP_MS }, blockDone),
    unblock: (target) =>
      ask(
        endpoint,
        { method: 'DELETE', path: `/api/v1/blocks?${queryOf({ target })}`, withinMs: LOOKUP_MS },
        blockDone,
      ),
    blocks: () =>
      ask(endpoint, { path: '/api/v1/blocks', withinMs: LOOKUP_MS, mostLength: MAX_SESSIONS_LENGTH }, blocksListed),
    limits: () => ask(endpoint, { path: `/api/v1/limits?limit=${MOST_LIMITS}`, withinMs: LOOKUP_MS }, limitsListed),
    trace: (body, signal) =>
      ask(
        endpoint,
        { method: 'POST', path: '/api/v1/traces', body, withinMs: LOOKUP_MS, mostLength: MAX_SESSIONS_LENGTH, signal },
        traceTold,
      ),
    instances: () => ask(endpoint, { path: '/api/v1/instances', withinMs: LOOKUP_MS }, instancesAnswer),
    explain: (question) => ask(endpoint, { path: pathOf(question, ''), withinMs: LOOKUP_MS }, routeAnswer),
    testLogin: (question, password) =>
      ask(endpoint, { path: pathOf(question, '/login'), password, withinMs: LOGIN_MS }, loginAnswer),
  }
}

function statePath(backend: string): string {
  return `/api/v1/backends/${encodeURIComponent(backend)}/state`
}

function pathOf({ user, protocol, listener, serverName, address }: RouteQuestion, what: '' | '/login'): string {
  const query = queryOf({ protocol, listener, sni: serverName, ip: address })
  return `/api/v1/routes/${encodeURIComponent(user)}${what}?${query}`
}

function queryOf(given: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, value)
  return query.toString()
}

async function ask<S extends z.ZodType>(endpoint: AdminEndpoint, request: Request, schema: S): Promise<z.output<S>> {
  const answer = await fetchAnswer(endpoint, request)
  const json = parseJson(answer.text)
  const told = answer.status === 200 ? schema.safeParse(json) : undefined
  if (told?.success) return told.data
  const refused = errorAnswer.safeParse(json)
  if (refused.success && answer.status === 409) {
    const { error, errors } = refused.data
    throw new Unanswered(error, { isRefused: true, ...(errors && { errors }) })
  }
  if (refused.success) throw new Unanswered(`mailmux refuses to answer: ${refused.data.error}`)
  throw new Unanswered(`${placeName(endpoint)} answers as no mailmux of this version does (HTTP ${answer.status})`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
