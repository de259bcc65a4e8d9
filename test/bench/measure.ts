/** One figure at a time: a running peer under one workload, and the memory of a fresh one under idle sessions. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Child } from './child.ts'
import type { Entry, LoadAnswer, LoadFigures, Order } from './load-orders.ts'
import type { Door, RunningPeer } from './peers/peer.ts'
import { type CpuSpent, cpuBetween, readCpu, readMemoryKiB } from './process-usage.ts'
import type { Workload } from './workloads.ts'

export type Load = Child<Order, LoadAnswer>

/** For the relay's last timers and the allocator; longer changed no figure. */
const SETTLE_MS = 500

export type LoadMeasure = { figures: LoadFigures; cpu: CpuSpent | undefined; handshake: string | undefined }

/** Undefined where the peer has no such door. */
export function findEntry(peer: RunningPeer, door: Door): Entry | undefined {
  const port = peer.ports[door]
  if (port === undefined) return undefined
  const proxyHeader = door === 'imap' && peer.expectsProxyHeader === true
  return {
    ...{ port, protocol: door === 'pop3' ? 'pop3' : 'imap', tls: door === 'imaps' },
    ...(proxyHeader && { proxyHeader }),
  }
}

/**
 * Runs the workload for so long; undefined where the peer has no such door.
 * CPU is read with all sessions open and nothing under way, so opening them costs nothing here.
 */
export async function measureLoad(
  load: Load,
  peer: RunningPeer,
  { door, operation, connections, present = 1, ...workload }: Workload,
  seconds: number,
): Promise<LoadMeasure | undefined> {
  const resume = workload.resume === true
  const entry = findEntry(peer, door)
  if (entry === undefined) return undefined
  // one session even where each operation opens its own: it tells which handshake the two sides agreed on
  const sessions = operation === 'login' && !resume ? present : connections
  const { handshake } = await load.ask({ do: 'open', ...entry, sessions })
  if (present > 1) await delay(SETTLE_MS)
  const before = readCpu(peer.pids)
  const { figures } = await load.ask({ do: 'run', ...entry, operation, connections, seconds, resume })
  const cpu = peer.pids.length === 0 ? undefined : cpuBetween(before, readCpu(peer.pids))
  await load.ask({ do: 'close' })
  if (figures === undefined) throw new Error('the load generator gave no figures')
  if (!resume && figures.resumed > 0) throw new Error(`${figures.resumed} handshakes were no full ones`)
  return { figures, cpu, handshake }
}

export type IdleReading = { sessions: number; kiB: number }

/**
 * Memory with so many sessions open, logged in, and nothing happening on them; the first reading is that of none.
 * The peer must have been started for this alone.
 */
export async function measureIdle(
  load: Load,
  peer: RunningPeer,
  entry: Entry,
  counts: number[],
): Promise<IdleReading[]> {
  const readings = [{ sessions: 0, kiB: await readSettledKiB(peer.pids) }]
  let open = 0
  for (const sessions of counts) {
    await load.ask({ do: 'open', ...entry, sessions: sessions - open })
    open = sessions
    readings.push({ sessions, kiB: await readSettledKiB(peer.pids) })
  }
  await load.ask({ do: 'close' })
  return readings
}

async function readSettledKiB(pids: number[]): Promise<number> {
  await delay(SETTLE_MS)
  return readMemoryKiB(pids)
}
