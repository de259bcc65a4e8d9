/** All that a run found out, as it is written to JSON: every cell of every round, nothing summed up yet. */
import { cpus, loadavg, release, totalmem } from 'node:os'

/** One peer under one workload in one round. CPU is undefined where nothing of it is measured (`direct`). */
export type Cell = {
  workload: string
  peer: string
  round: number
  operations: number
  seconds: number
  p50Us: number
  p99Us: number
  cpuUsPerOperation: number | undefined
  /** of the CPU time, what the kernel took */
  systemShare: number | undefined
  cpuSource: 'schedstat' | 'stat' | undefined
}

export type IdleCell = {
  workload: string
  peer: string
  round: number
  sessions: number
  freshKiB: number
  kiBPerSession: number
  /** of as many sessions again, after those: what growth costs once the heap has found its size */
  kiBPerFurtherSession: number
}

export type Report = {
  startedAt: string
  measuredSeconds: number
  machine: { cpu: string; cores: number; memoryMiB: number; kernel: string; loadAverageAtStart: number }
  versions: Record<string, string>
  handshakes: Record<string, string>
  failures: string[]
  cells: Cell[]
  idleCells: IdleCell[]
}

export function describeMachine(): Report['machine'] {
  const processors = cpus()
  return {
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    kernel: `Linux ${release()}`,
    loadAverageAtStart: loadavg()[0] ?? 0,
  }
}
