/** The pool that the configuration asks for: in this process, or of several workers. */
import type { Registry } from 'prom-client'
import type { LogLevelOrders } from '../admin/log-routes.ts'
import type { AdjustableLog } from '../log.ts'
import { createMetrics } from '../metrics/metrics.ts'
import { Secret } from '../secret.ts'
import { createInProcessPool, type CreateApp } from './in-process.ts'
import { createLogLevel } from './log-level.ts'
import type { WorkerPool } from './worker-pool.ts'
import { createWorkers, type WorkersParts } from './workers.ts'

export type PoolParts = Omit<WorkersParts, 'ticketSecret' | 'log'> & {
  log: AdjustableLog
  createApp: CreateApp
  ticketSecret: string
  /** of the metrics of this process */
  registry: Registry
}

/** @returns the pool, and the answers on the level of the log, which is that of all its processes */
export function openPool(parts: PoolParts): WorkerPool & { logLevel: LogLevelOrders } {
  const pool = createPool(parts)
  return { ...pool, logLevel: createLogLevel(parts.log, pool.setLogLevel) }
}

function createPool({ createApp, ticketSecret, registry, ...parts }: PoolParts): WorkerPool {
  const { settings, log, ledger, inherited, leases } = parts
  if (settings.workers !== 1) return createWorkers({ ...parts, ticketSecret: new Secret(ticketSecret) })
  const deps = { log, metrics: createMetrics(registry), ticketSecret, ledger }
  return createInProcessPool(createApp, settings, deps, inherited, leases)
}
