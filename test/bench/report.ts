/** All that a run found out, as it is written to JSON: every cell of every round, nothing summed up yet. */
import { cpus, loadavg, release, totalmem } from 'node:os'
import type { IdleReading } from './measure.ts'

/** One peer under one workload in one round. CPU is undefined where nothing of it is measured (`direct`). */
export type Cell = {
  workload: string
  peer: string
  round: number
  operations: number
  seconds: number
  p50Us: number
  p99Us: number
  /** of the operations, those that resumed a TLS session */
  resumed: number
  cpuUsPerOperation: number | undefined
  /** the same of the busiest process alone: what bounds the rate of several */
  busiestUsPerOperation: number | undefined
  /** of the CPU time, what the kernel took */
  systemShare: number | undefined
  cpuSource: 'schedstat' | 'stat' | undefined
}

export type IdleCell = {
  workload: string
  peer: string
  /** with no session, and with more and more of them */
  readings: IdleReading[]
}

/** What was measured in one setting. */
export type Section = {
  name: string
  title: string
  /** all that it was about, those that failed included */
  peers: string[]
  /** those of idle sessions included */
  workloads: { name: string; title: string }[]
  cells: Cell[]
  idleCells: IdleCell[]
}

export type Report = {
  startedAt: string
  measuredSeconds: number
  machine: {
    cpu: string
    cores: number
    memoryMiB: number
    kernel: string
    openFiles: number
    loadAverageAtStart: number
  }
  /** peer to version */
  versions: Record<string, string>
  /** peer to what its column stands for */
  remarks: Record<string, string>
  /** peer to what it agreed on in its handshakes */
  handshakes: Record<string, string>
  /** what a reader has to know of this run: routes found, sessions that the limit of files did not allow */
  notes: string[]
  failures: string[]
  sections: Section[]
}

export function describeMachine(openFiles: number): Report['machine'] {
  const processors = cpus()
  return {
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    kernel: `Linux ${release()}`,
    openFiles,
    loadAverageAtStart: loadavg()[0] ?? 0,
  }
}
