/** A report as tables for people: medians of the rounds, and ratios to the first peer. Markdown that reads well as plain text. */
import type { Cell, IdleCell, Report } from './report.ts'

/** The middle one; of an even number the mean of the two in the middle. Undefined of nothing. */
export function median(values: number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  return upper === undefined || lower === undefined ? undefined : (upper + lower) / 2
}

/** (largest - smallest) / median: below 0.1 the rounds agree. */
function spread(values: number[]): number {
  const middle = median(values)
  return middle === undefined || middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle
}

/** Three digits: more would claim a precision that a shared machine does not have. */
function show(value: number | undefined): string {
  if (value === undefined) return ''
  const digits = Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0
  return value.toFixed(digits)
}

type Titled = { name: string; title: string }

/** One figure of every peer in a row a workload; with two or more peers the ratio of each to the first. */
function figureTable(
  heading: string,
  rows: Titled[],
  peers: string[],
  pick: (workload: string, peer: string) => number[],
  wantsRatio: boolean,
): string[] {
  const baseline = peers[0] ?? ''
  const others = wantsRatio ? peers.slice(1) : []
  const header = [heading, ...peers, ...others.map((peer) => `${peer} / ${baseline}`)]
  if (wantsRatio) header.push('spread')
  const lines = rows.map(({ name, title }) => {
    const base = median(pick(name, baseline))
    const ratios = others.map((peer) => {
      const other = median(pick(name, peer))
      return base === undefined || other === undefined ? '' : (other / base).toFixed(2)
    })
    const rounds = Math.max(...peers.map((peer) => pick(name, peer).length))
    const widest = Math.max(...peers.map((peer) => spread(pick(name, peer))))
    const line = [title, ...peers.map((peer) => show(median(pick(name, peer)))), ...ratios]
    return wantsRatio ? [...line, rounds > 1 ? `${(widest * 100).toFixed(0)} %` : ''] : line
  })
  return alignTable([header, ...lines])
}

/** Markdown that reads well as plain text: columns padded, numbers to the right. */
function alignTable(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) => {
    const fields = row.map((field, column) =>
      column === 0 ? field.padEnd(widths[0]!) : field.padStart(widths[column]!),
    )
    return `| ${fields.join(' | ')} |`
  })
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [lines[0]!, `| ${rule.join(' | ')} |`, ...lines.slice(1)]
}

/** The tables as Markdown. Peers without CPU figures appear in the wall-clock table alone. */
export function renderReport(report: Report, workloads: Titled[], idleWorkloads: Titled[]): string {
  const { cells, idleCells, machine } = report
  const all = [...new Set(cells.map((cell) => cell.peer))]
  const measured = all.filter((peer) =>
    cells.some((cell) => cell.peer === peer && cell.cpuUsPerOperation !== undefined),
  )
  const pickCells = (of: (cell: Cell) => number | undefined) => (workload: string, peer: string) =>
    cells
      .filter((cell) => cell.workload === workload && cell.peer === peer)
      .map(of)
      .filter((value) => value !== undefined)
  const pickIdle = (of: (cell: IdleCell) => number) => (workload: string, peer: string) =>
    idleCells.filter((cell) => cell.workload === workload && cell.peer === peer).map(of)
  const isMeasured = ({ name }: Titled) => [...cells, ...idleCells].some(({ workload }) => workload === name)
  const rows = workloads.filter(isMeasured)
  const idleRows = idleWorkloads.filter(isMeasured)
  const idlePeers = [...new Set(idleCells.map((cell) => cell.peer))]

  const tables: string[][] = []
  if (rows.length > 0 && measured.length > 0) {
    tables.push(
      figureTable(
        'CPU, µs an operation',
        rows,
        measured,
        pickCells((cell) => cell.cpuUsPerOperation),
        true,
      ),
    )
  }
  if (idleRows.length > 0) {
    const kiB = pickIdle((cell) => cell.kiBPerSession)
    const further = pickIdle((cell) => cell.kiBPerFurtherSession)
    tables.push(figureTable('memory, KiB a session', idleRows, idlePeers, kiB, true))
    tables.push(figureTable('memory, KiB each further session', idleRows, idlePeers, further, true))
  }
  if (rows.length > 0) {
    const perSecond = pickCells((cell) => cell.operations / cell.seconds)
    tables.push(figureTable('operations a second', rows, all, perSecond, false))
    tables.push(
      figureTable(
        'p50 latency, µs',
        rows,
        all,
        pickCells((cell) => cell.p50Us),
        false,
      ),
    )
    tables.push(
      figureTable(
        'p99 latency, µs',
        rows,
        all,
        pickCells((cell) => cell.p99Us),
        false,
      ),
    )
  }

  const about = [
    `${report.startedAt}: ${machine.cores} × ${machine.cpu}, ${machine.memoryMiB} MiB, ${machine.kernel}, ` +
      `load ${machine.loadAverageAtStart.toFixed(2)} before the run; ${report.measuredSeconds.toFixed(0)} s of measuring.`,
    `Versions: ${Object.entries(report.versions)
      .map(([name, version]) => `${name} (${version})`)
      .join(', ')}.`,
    ...Object.entries(report.handshakes).map(([peer, handshake]) => `TLS with ${peer}: ${handshake}.`),
    ...report.failures.map((failure) => `**Failed:** ${failure}`),
  ]
  return [...tables.map((lines) => lines.join('\n')), about.join('\n')].join('\n\n') + '\n'
}
