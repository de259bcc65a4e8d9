/** One figure at a time: a running peer under one workload, and the memory of a fresh one under idle sessions. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Child } from './child.ts'
import type { LoadAnswer, LoadFigures, Order } from './load-orders.ts'
import type { RunningPeer } from './peers/peer.ts'
import { type CpuSpent, cpuBetween, readCpu, readMemoryKiB } from './process-usage.ts'
import type { IdleWorkload, Workload } from './workloads.ts'

export type Load = Child<Order, LoadAnswer>

/** For the relay's last timers and the allocator; longer changed no figure. */
const SETTLE_MS = 500

export type LoadMeasure = { figures: LoadFigures; cpu: CpuSpent | undefined; handshake: string | undefined }

/**
 * Runs the workload for so long; undefined where the peer has no such port.
 * CPU is read with all sessions open and nothing under way, so opening them costs nothing here.
 */
export async function measureLoad(
  load: Load,
  peer: RunningPeer,
  { wire, operation, connections }: Workload,
  seconds: number,
): Promise<LoadMeasure | undefined> {
  const port = peer.ports[wire]
  if (port === undefined) return undefined
  const tls = wire === 'tls'
  // one session even where each operation opens its own: it tells which handshake the two sides agreed on
  const sessions = operation === 'login' ? 1 : connections
  const { handshake } = await load.ask({ do: 'open', port, tls, sessions })
  const before = peer.pid === undefined ? undefined : readCpu(peer.pid)
  const { figures } = await load.ask({ do: 'run', operation, port, tls, connections, seconds })
  const cpu = peer.pid === undefined || before === undefined ? undefined : cpuBetween(before, readCpu(peer.pid))
  await load.ask({ do: 'close' })
  if (figures === undefined) throw new Error('the load generator gave no figures')
  return { figures, cpu, handshake }
}

export type IdleMeasure = { freshKiB: number; kiBPerSession: number; kiBPerFurtherSession: number }

/** What sessions that were opened and logged in cost while nothing happens on them. The peer must have been started for this alone. */
export async function measureIdle(
  load: Load,
  pid: number,
  { wire, sessions }: IdleWorkload,
  port: number,
): Promise<IdleMeasure> {
  const readings = [await readSettledKiB(pid)]
  for (let batch = 0; batch < 2; batch++) {
    await load.ask({ do: 'open', port, tls: wire === 'tls', sessions })
    readings.push(await readSettledKiB(pid))
  }
  await load.ask({ do: 'close' })
  const [freshKiB = 0, first = 0, second = 0] = readings
  return { freshKiB, kiBPerSession: (first - freshKiB) / sessions, kiBPerFurtherSession: (second - first) / sessions }
}

async function readSettledKiB(pid: number): Promise<number> {
  await delay(SETTLE_MS)
  return readMemoryKiB(pid)
}
