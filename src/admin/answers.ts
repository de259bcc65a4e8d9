/**
 * What the API answers, as schemas: the promise to scripts, kept by the compiler on the side that answers and by zod on the side that
 * asks. It may grow; what stands here does not change. What does not apply is absent. docs/admin-api.md explains it.
 */
import { z } from 'zod'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { failure, heldBack } from './configuration-answers.ts'

const protocol = z.enum(PROTOCOL_NAMES)
const tls = z.enum(['none', 'starttls', 'implicit', 'passthrough'])

const address = z.object({
  protocol,
  host: z.string(),
  ip: z.string(),
  port: z.number(),
  source: z.enum(['address', 'name', 'srv']),
  state: z.enum(['up', 'down', 'misconfigured']),
  sinceMs: z.number(),
  lastError: z.string().optional(),
  nextCheckMs: z.number().optional(),
  lookedUpAgainMs: z.number().optional(),
})

const leg = z.object({
  tls: z.enum(['none', 'starttls', 'implicit']),
  verifies: z.enum(['name', 'pins', 'nothing']).optional(),
  certificateName: z.string().optional(),
  trusts: z.enum(['system', 'ca_file']).optional(),
  pins: z.array(z.string()).readonly().optional(),
  showsCertificate: z.literal(true).optional(),
  proxyHeader: z.enum(['none', 'v1', 'v2']),
  forwardsIdentity: z.boolean(),
  master: z.object({ user: z.string(), by: z.enum(['authzid', 'separator']) }).optional(),
})

const load = z.object({
  sessions: z.number(),
  logins: z.number(),
  waiting: z.number(),
  limits: z.object({
    sessions: z.number().optional(),
    logins: z.number(),
    loginsPerSecond: z.number().optional(),
    waitMs: z.number(),
    queue: z.number(),
  }),
  slowStart: z.object({ logins: z.number(), loginsPerSecond: z.number() }).optional(),
})

export const backendState = z.enum(['up', 'drain', 'pause', 'down'])

export const backendAnswer = z.object({
  name: z.string(),
  up: z.boolean(),
  state: backendState,
  stateFrom: z.enum(['routing', 'directory']),
  overMs: z.number().optional(),
  reassign: z.literal(true).optional(),
  check: z.enum(['tcp', 'tls', 'greeting', 'login', 'none']),
  addresses: z.array(address),
  leg,
  load,
})

export const backendsAnswer = z.object({ backends: z.array(backendAnswer) })

/** `changed`: whether the directory had another state */
export const stateSetAnswer = z.object({ backend: z.string(), changed: z.boolean() })

const session = z.object({
  id: z.string(),
  client: z.string(),
  listener: z.string(),
  protocol,
  phase: z.string(),
  user: z.string().optional(),
  backend: z.string().optional(),
  tls: z.string().optional(),
  ageSeconds: z.number(),
  idleSeconds: z.number().optional(),
  worker: z.number().optional(),
  instance: z.string().optional(),
})

/** `partial`: there may be other instances, as `why` says. */
const scope = z.enum(['all', 'instance', 'partial'])

/** Which instances an answer covers. Names are `<host>/<id>`. */
const coverage = {
  scope: scope.optional(),
  why: z.string().optional(),
  silent: z.array(z.string()).optional(),
  lost: z.array(z.string()).optional(),
}

/** `unconnected`, of `total`: without a connection to a back end */
const counts = { total: z.number(), unconnected: z.number().optional() }

/** `generation`: of the process that answers; an upgrade makes the next */
const generation = z.number().optional()

export const sessionsAnswer = z.object({
  sessions: z.array(session),
  ...counts,
  generation,
  incomplete: z.array(z.number()).optional(),
  instances: z
    .array(z.object({ instance: z.string(), generation, ...counts, incomplete: z.array(z.number()).optional() }))
    .optional(),
  ...coverage,
})

const ended = {
  ended: z.number(),
  workers: z.array(z.object({ worker: z.number(), ended: z.number() })).optional(),
  incomplete: z.array(z.number()).optional(),
}

export const endedAnswer = z.object({
  ...ended,
  instances: z.array(z.object({ instance: z.string(), ...ended })).optional(),
  ...coverage,
})

/** A user in a running move. */
export const movedUser = z.object({
  user: z.string().min(1).max(320),
  from: z.string().min(1).max(200),
  to: z.string().min(1).max(200),
  step: z.enum(['check', 'copy', 'hold', 'end', 'settle', 'final', 'switch', 'release']),
})

const moveRun = z.object({
  run: z.string(),
  by: z.string(),
  total: z.number(),
  moved: z.number(),
  failed: z.number(),
  unknown: z.number(),
  running: z.number(),
  users: z.array(movedUser),
  ageSeconds: z.number(),
  instance: z.string().optional(),
})

export const movesAnswer = z.object({ moves: z.array(moveRun), ...coverage })

/** The report of a run was taken. */
export const moveReported = z.object({ run: z.string() })

const instance = z.object({
  id: z.string(),
  host: z.string(),
  state: z.enum(['up', 'silent', 'lost']),
  self: z.boolean(),
  pid: z.number().optional(),
  version: z.string().optional(),
  generation: z.number().optional(),
  workers: z.number().optional(),
  sessions: z.number().optional(),
  sinceMs: z.number().optional(),
  heartbeatSeconds: z.number().optional(),
})

export const instancesAnswer = z.object({
  instances: z.array(instance),
  scope,
  why: z.string().optional(),
})

const nameNote = z.discriminatedUnion('what', [
  z.object({ what: z.literal('delimiter'), delimiter: z.string() }),
  z.object({ what: z.literal('default-domain'), domain: z.string() }),
  z.object({ what: z.literal('alias'), from: z.string(), to: z.string() }),
  z.object({ what: z.literal('master'), master: z.string() }),
  z.object({ what: z.literal('wrong'), why: z.string() }),
])

const step = z.object({
  asked: z.enum(['users', 'memory', 'directory', 'workers', 'domains', 'placement']),
  key: z.string(),
  outcome: z.enum(['found', 'nothing', 'outdated', 'unavailable', 'invalid']),
  detail: z.string().optional(),
  ageMs: z.number().optional(),
  leftMs: z.number().optional(),
})

const route = z.object({ source: z.string(), backend: z.string(), login: z.string().optional() })
const refusal = z.object({ reason: z.string().optional(), code: z.string().optional(), detail: z.string() })

export const routeAnswer = z.object({
  usable: z.boolean(),
  login: z.object({
    user: z.string(),
    protocol,
    listener: z.string(),
    tls,
    serverName: z.string().optional(),
    address: z.string().optional(),
  }),
  name: z
    .object({
      user: z.string().optional(),
      defaultDomain: z.object({ domain: z.string(), by: z.enum(['server-name', 'address', 'listener']) }).optional(),
      notes: z.array(nameNote),
    })
    .optional(),
  steps: z.array(step),
  route: route.optional(),
  backend: backendAnswer.optional(),
  refusal: refusal.optional(),
  heldBack: heldBack.optional(),
  /** the files have had these errors since, so that the answer is of the files before */
  notTakenOver: failure.optional(),
  otherWorkers: z
    .array(z.object({ worker: z.number(), usable: z.boolean(), route: route.optional(), refusal: refusal.optional() }))
    .optional(),
})

const trial = z.object({
  accepted: z.boolean(),
  session: z.string(),
  phase: z.string(),
  backend: z.string().optional(),
  ip: z.string().optional(),
  port: z.number().optional(),
  tls: z.string().optional(),
  reason: z.string().optional(),
  code: z.string().optional(),
  detail: z.string().optional(),
  ms: z.number(),
})

/** The route as it was before the login, and what became of that. */
export const loginAnswer = routeAnswer.extend({ trial })

/** Every answer that is not 200. */
export const errorAnswer = z.object({ error: z.string(), errors: z.array(z.string()).optional() })

export type BackendAnswer = z.infer<typeof backendAnswer>
export type BackendsAnswer = z.infer<typeof backendsAnswer>
export type StateSetAnswer = z.infer<typeof stateSetAnswer>
export type SessionAnswer = z.infer<typeof session>
export type SessionsAnswer = z.infer<typeof sessionsAnswer>
export type InstancesAnswer = z.infer<typeof instancesAnswer>
export type MovesAnswer = z.infer<typeof movesAnswer>
export type EndedAnswer = z.infer<typeof endedAnswer>
export type RouteAnswer = z.infer<typeof routeAnswer>
export type LoginTestAnswer = z.infer<typeof trial>
