/** Which ratios of a section are not known well enough yet: those to the first peer, which the tables show, and those of the targets. */
import type { Section } from './report.ts'
import { isPrecise, rowOf } from './summary.ts'
import { listPairs, type Pair } from './targets.ts'
import type { Workload } from './workloads.ts'

/** Workload to the peers that need another round in it; empty when all ratios are precise. A ratio without any figure needs none. */
export function findImprecise(section: Section, workloads: Workload[]): Map<string, Set<string>> {
  const imprecise = new Map<string, Set<string>>()
  const add = (workload: string, peer: string): void => {
    imprecise.set(workload, (imprecise.get(workload) ?? new Set()).add(peer))
  }
  for (const { figure, own, base } of [...listShown(section, workloads), ...listPairs(section.name)]) {
    const [workload, baseWorkload] = [own, base].map(({ row }) => workloads.find(({ name }) => name === row))
    if (workload === undefined || baseWorkload === undefined) continue
    const [row, baseRow] = [workload, baseWorkload].map((one) => rowOf(one, section.cells, figure))
    if (row?.rounds.has(own.peer) !== true || baseRow?.rounds.has(base.peer) !== true) continue
    if (isPrecise(row, own.peer, base.peer, baseRow)) continue
    add(own.row, own.peer)
    add(base.row, base.peer)
  }
  return imprecise
}

/** The CPU time of each peer as a multiple of that of the first one. */
function listShown({ peers: [first, ...others] }: Section, workloads: Workload[]): Pair[] {
  if (first === undefined) return []
  return workloads.flatMap(({ name: row }) =>
    others.map((peer): Pair => ({ figure: 'cpu', own: { peer, row }, base: { peer: first, row } })),
  )
}
