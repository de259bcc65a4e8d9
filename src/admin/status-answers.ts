/** What the API answers about the state of an instance as a whole, and about its last hour, as schemas; see `answers.ts`. */
import { z } from 'zod'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { backendAnswer, instancesAnswer } from './answers.ts'
import { configAnswer } from './configuration-answers.ts'

/** Of the last minute, or of the time since the start; a latency is absent if no login ended. */
const rate = z.object({
  loginsPerSecond: z.number(),
  latencyP50Ms: z.number().optional(),
  latencyP99Ms: z.number().optional(),
})

const listener = z.object({
  name: z.string(),
  protocol: z.enum(PROTOCOL_NAMES),
  listen: z.array(z.string()),
  tls: z.enum(['none', 'starttls', 'implicit', 'passthrough']),
})

/** `names`: for which clients get it */
const certificate = z.object({ file: z.string(), notAfterMs: z.number(), names: z.array(z.string()) })

/**
 * `lastUpMs`: when it was seen to answer, at the latest; while it is away, routes that stand in are those of that time or older. Absent:
 * not since the start. `maxStaleMs`: how old a route may be that stands in
 */
const directory = z.object({
  kind: z.enum(['static', 'redis', 'auth_http']),
  up: z.boolean(),
  dataLost: z.boolean(),
  lastUpMs: z.number().optional(),
  maxStaleMs: z.number().optional(),
})

/** Since the start, over all workers. */
const count = z.object({ name: z.string(), count: z.number() })

export const statusAnswer = z.object({
  nowMs: z.number(),
  /** when the counts and rates of this answer were read */
  sampledMs: z.number(),
  hostname: z.string(),
  host: z.string(),
  version: z.string(),
  /** such as `node 26.10.0` */
  runtime: z.string(),
  generation: z.number(),
  startedMs: z.number(),
  notReady: z.string().optional(),
  workers: z.array(z.enum(['up', 'starting', 'not-answering', 'ended'])),
  /** absent while no worker answers */
  backends: z.array(backendAnswer.extend({ rate: rate.optional() })).optional(),
  connections: z.object({ open: z.number(), max: z.number() }),
  logins: z.object({ accepted: z.number(), refused: z.number(), failed: z.number() }),
  rejected: z.array(count),
  limited: z.array(count),
  listeners: z.array(listener),
  certificates: z.array(certificate),
  directory,
  config: configAnswer,
  /** absent while the directory gives no list */
  instances: instancesAnswer.optional(),
  movesRunning: z.number(),
  logLinesDropped: z.number(),
  shortages: z.number(),
})

const value = z.number().nullable()

/** `null`: nothing to measure. Rates are of a second. */
const sample = z.object({
  number: z.number(),
  atMs: z.number(),
  accepted: value,
  refused: value,
  failed: value,
  bytesFromClient: value,
  bytesFromBackend: value,
  connections: value,
  latencyP50Ms: value,
  latencyP99Ms: value,
})

/** The samples are those of the last hour after the one of the question, the oldest first. */
export const historyAnswer = z.object({ nowMs: z.number(), everyMs: z.number(), samples: z.array(sample) })

export type StatusAnswer = z.infer<typeof statusAnswer>
export type HistoryAnswer = z.infer<typeof historyAnswer>
