/** Cells and sections as a run of the bench finds them, in a line each. */
import type { Cell, IdleCell } from '../../bench/report.ts'
import { listSettings } from '../../bench/settings.ts'
import { summarize, type SummedSection } from '../../bench/summary.ts'

export const settings = listSettings(9_700)

export function cell(workload: string, peer: string, cpuUs: number, over: Partial<Cell> = {}): Cell {
  return {
    ...{ workload, peer, round: 1, operations: 100, seconds: 1, p50Us: 10, p99Us: 20, resumed: 0 },
    ...{ cpuUsPerOperation: cpuUs, busiestUsPerOperation: cpuUs, systemShare: 0.5, cpuSource: 'schedstat' },
    ...over,
  }
}

export function idleCell(workload: string, peer: string, ...kiB: number[]): IdleCell {
  const counts = [0, 1000, 3000]
  return { workload, peer, readings: kiB.map((value, index) => ({ sessions: counts[index]!, kiB: value })) }
}

export function section(name: string, cells: Cell[], idleCells: IdleCell[] = [], peers?: string[]): SummedSection {
  const present = [...new Set([...cells, ...idleCells].map(({ peer }) => peer))]
  const workloads = [...new Set([...cells, ...idleCells].map(({ workload }) => workload))]
  const plain = {
    ...{ name, title: name, peers: peers ?? present, cells, idleCells },
    workloads: workloads.map((workload) => ({ name: workload, title: `the title of ${workload}` })),
  }
  return { ...plain, summary: summarize(plain, settings) }
}
