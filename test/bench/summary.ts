/** A section summed up: rows of figures, a row a workload, each with the values of all rounds of every peer. */
import type { Cell, IdleCell, Section } from './report.ts'
import type { Setting } from './settings.ts'

export type Row = {
  /** a workload's; of memory with the number of sessions: `idle@3000` */
  name: string
  title: string
  /** peer to the values of its rounds */
  values: Map<string, number[]>
  /** peer to the value of each round by its number; empty for memory, which is taken once */
  rounds: Map<string, Map<number, number>>
  /** peers whose figure is not of what the title says: they did not resume every session */
  marks: Set<string>
}

export type Summary = {
  cpu: Row[]
  /** of the busiest process alone */
  busiest: Row[]
  memory: Row[]
  rate: Row[]
  p50: Row[]
  p99: Row[]
  /** how many TLS sessions were resumed, a line a peer, where all should have been */
  resumption: string[]
}

export type SummedSection = Section & { summary: Summary }

type Titled = { name: string; title: string; resume?: true }

/** The middle one; of an even number the mean of the two in the middle. Undefined of nothing. */
export function median(values: number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  return upper === undefined || lower === undefined ? undefined : (upper + lower) / 2
}

/** (largest - smallest) / median: below 0.1 the rounds agree. */
export function spread(values: number[]): number {
  const middle = median(values)
  return middle === undefined || middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle
}

/** The median of one peer in one row; undefined where there is none. */
export function figureOf(row: Row | undefined, peer: string): number | undefined {
  return median(row?.values.get(peer) ?? [])
}

/** The ratio within each round that has both figures. */
function ratiosOf(row: Row, peer: string, baseline: string, baseRow: Row): number[] {
  const [own, base] = [row.rounds.get(peer), baseRow.rounds.get(baseline)]
  return [...(own ?? [])].flatMap(([round, value]) => {
    const divisor = base?.get(round)
    return divisor === undefined ? [] : [value / divisor]
  })
}

/**
 * The median of the ratios within each round that has both figures; the ratio of the medians without such a round.
 * `baseRow` is the row of `baseline` where it is another one.
 */
export function ratioOf(row: Row, peer: string, baseline: string, baseRow = row): number | undefined {
  const ratios = ratiosOf(row, peer, baseline, baseRow)
  if (ratios.length > 0) return median(ratios)
  const [figure, divisor] = [figureOf(row, peer), figureOf(baseRow, baseline)]
  return figure === undefined || divisor === undefined ? undefined : figure / divisor
}

export type Interval = { low: number; high: number }

/** The confidence interval of `ratioOf`; undefined with fewer than six rounds. */
export function intervalOf(row: Row, peer: string, baseline: string, baseRow = row): Interval | undefined {
  return medianInterval(ratiosOf(row, peer, baseline, baseRow))
}

/** In so many of a hundred runs the true ratio lies in the interval. */
const CONFIDENCE = 0.95

/**
 * The interval of a median between two of the sorted values (the sign test). It assumes nothing about how the values are distributed: on
 * a shared machine a few of them are far too large.
 */
export function medianInterval(values: number[]): Interval | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const { length } = sorted
  // The chance that the median lies below the value of this rank: that at most so many of `length` coins show heads.
  let chance = 0
  let term = 0.5 ** length
  let rank = 0
  for (; rank < length / 2; rank++) {
    chance += term
    if (2 * chance > 1 - CONFIDENCE) break
    term *= (length - rank) / (rank + 1)
  }
  const [low, high] = [sorted[rank - 1], sorted[length - rank]]
  return low === undefined || high === undefined ? undefined : { low, high }
}

/** Whether the ratio of `peer` in a row to `baseline` in the same or another row is known to a twentieth. */
export function isPrecise(row: Row, peer: string, baseline: string, baseRow = row): boolean {
  const [ratio, interval] = [ratioOf(row, peer, baseline, baseRow), intervalOf(row, peer, baseline, baseRow)]
  return ratio !== undefined && interval !== undefined && interval.high - interval.low <= PRECISE * ratio
}

/** The width of an interval, as a part of the ratio. More rounds for a narrower one would take hours on a shared machine. */
const PRECISE = 0.05

/** The peers that have a figure in these rows, in the order of the first row that has them. */
export function peersOf(rows: Row[]): string[] {
  return [...new Set(rows.flatMap((row) => [...row.values.keys()]))]
}

const FIGURES = {
  cpu: (cell: Cell) => cell.cpuUsPerOperation,
  busiest: (cell: Cell) => cell.busiestUsPerOperation,
  p99: (cell: Cell) => cell.p99Us,
}

/** One row alone, of the cells so far. */
export function rowOf(workload: Titled, cells: readonly Cell[], figure: keyof typeof FIGURES): Row {
  const own = cells.filter((cell) => cell.workload === workload.name)
  return buildRow(workload, own, FIGURES[figure])
}

/** `settings` tell how workloads are called, and in which order they are shown. */
export function summarize(section: Section, settings: Setting[]): Summary {
  const { workloads, idleWorkloads } = settings.find(({ name }) => name === section.name) ?? NO_WORKLOADS
  const cellsOf = (workload: Titled): Cell[] => section.cells.filter((cell) => cell.workload === workload.name)
  const rowsOf = (of: (cell: Cell) => number | undefined): Row[] =>
    workloads.map((workload) => buildRow(workload, cellsOf(workload), of)).filter((row) => row.values.size > 0)
  return {
    cpu: rowsOf(FIGURES.cpu),
    busiest: rowsOf(FIGURES.busiest),
    memory: idleWorkloads.flatMap((workload) =>
      buildMemoryRows(
        workload,
        section.idleCells.filter((cell) => cell.workload === workload.name),
      ),
    ),
    rate: rowsOf((cell) => cell.operations / cell.seconds),
    p50: rowsOf((cell) => cell.p50Us),
    p99: rowsOf(FIGURES.p99),
    resumption: workloads
      .filter(({ resume }) => resume === true)
      .flatMap((workload) => countResumed(cellsOf(workload))),
  }
}

const NO_WORKLOADS = { workloads: [], idleWorkloads: [] }

function buildRow({ name, title, resume }: Titled, cells: Cell[], of: (cell: Cell) => number | undefined): Row {
  const row: Row = { name, title, values: new Map(), rounds: new Map(), marks: new Set() }
  for (const [peer, own] of Map.groupBy(cells, (cell) => cell.peer)) {
    const rounds = new Map<number, number>()
    for (const cell of own) {
      const value = of(cell)
      if (value !== undefined) rounds.set(cell.round, value)
    }
    if (rounds.size > 0) {
      row.rounds.set(peer, rounds)
      row.values.set(peer, [...rounds.values()])
    }
    if (resume === true && own.some((cell) => cell.resumed < cell.operations)) row.marks.add(peer)
  }
  return row
}

function countResumed(cells: Cell[]): string[] {
  return [...Map.groupBy(cells, (cell) => cell.peer)].map(([peer, own]) => {
    const resumed = sum(own.map((cell) => cell.resumed))
    const operations = sum(own.map((cell) => cell.operations))
    const counts = `${withThousands(resumed)} of ${withThousands(operations)} TLS sessions`
    return resumed < operations ? `† ${peer} resumed only ${counts}` : `${peer} resumed ${counts}`
  })
}

/** KiB a session over the fresh instance, at each count; then what each further one costs after the first count, when heaps have found their size. */
function buildMemoryRows({ name, title }: Titled, cells: IdleCell[]): Row[] {
  const counts = [...new Set(cells.flatMap((cell) => cell.readings.map(({ sessions }) => sessions)))].filter(Boolean)
  const [first, last] = [counts[0], counts.at(-1)]
  const rowOf = (suffix: string, words: string, from: number, to: number): Row => {
    const values = new Map<string, number[]>()
    for (const { peer, readings } of cells) {
      const start = readings.find(({ sessions }) => sessions === from)
      const end = readings.find(({ sessions }) => sessions === to)
      if (start !== undefined && end !== undefined) values.set(peer, [(end.kiB - start.kiB) / (to - from)])
    }
    return { name: `${name}@${suffix}`, title: `${title}, ${words}`, values, rounds: new Map(), marks: new Set() }
  }
  const rows = counts.map((count) => rowOf(String(count), `of ${withThousands(count)}`, 0, count))
  if (first !== undefined && last !== undefined && last > first)
    rows.push(rowOf('further', 'each further', first, last))
  return rows
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** `idle@3000` is a row of `idle`. */
export function idleWorkloadOf(rowName: string): string {
  return rowName.split('@')[0]!
}

/** 10000 as 10,000. */
export function withThousands(value: number): string {
  return value.toLocaleString('en-US')
}
