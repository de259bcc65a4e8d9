/** A report for people: medians of the rounds and ratios to the first peer, as tables of Markdown that read well as plain text, and as a chart. */
import { drawChart } from './chart.ts'
import type { Report } from './report.ts'
import {
  figureOf,
  type Interval,
  intervalOf,
  idleWorkloadOf,
  peersOf,
  ratioOf,
  type Row,
  spread,
  type Summary,
  type SummedSection,
} from './summary.ts'
import type { Verdict } from './targets.ts'

/** Three digits: more would claim a precision that a shared machine does not have. */
export function show(value: number | undefined): string {
  if (value === undefined) return ''
  const digits = Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0
  return value.toFixed(digits)
}

/** Where the rounds of a row agree least, and whose they are. */
function showSpread({ values }: Row): string {
  const [widest] = [...values].map(([peer, own]) => ({ peer, own })).toSorted((a, b) => spread(b.own) - spread(a.own))
  return widest === undefined || widest.own.length < 2
    ? ''
    : `${(spread(widest.own) * 100).toFixed(0)} % ${widest.peer}`
}

/** The medians of every peer, a row a workload. A figure that is not of what its row says has a dagger. */
function figureTable(heading: string, rows: Row[], wantsSpread: boolean): string[] {
  const peers = peersOf(rows)
  const header = [heading, ...peers, ...(wantsSpread ? ['widest spread'] : [])]
  const lines = rows.map((row) => [
    row.title,
    ...peers.map((peer) => show(figureOf(row, peer)) + (row.marks.has(peer) ? ' †' : '')),
    ...(wantsSpread ? [showSpread(row)] : []),
  ])
  return alignTable([header, ...lines])
}

/**
 * Every figure divided by the first peer's: the median of the ratios within each round, because a busy machine slows all peers of a round.
 * Behind it its confidence interval.
 */
function ratioTable(rows: Row[]): string[] {
  const [baseline = '', ...others] = peersOf(rows)
  const lines = rows.map((row) => {
    const ratios = others.map((peer) => {
      const ratio = ratioOf(row, peer, baseline)
      if (ratio === undefined) return ''
      return show(ratio) + showInterval(intervalOf(row, peer, baseline)) + (row.marks.has(peer) ? ' †' : '')
    })
    return [row.title, ...ratios]
  })
  return alignTable([[`ratio to ${baseline}`, ...others], ...lines])
}

export function showInterval(interval: Interval | undefined): string {
  return interval === undefined ? '' : ` (${show(interval.low)} to ${show(interval.high)})`
}

function targetTable(verdicts: Verdict[]): string[] {
  const lines = verdicts.map(({ text, limit, isLeast, aim, value, unit, interval, isMet, reason = 'no figure' }) => [
    text,
    `${isLeast ? '≥' : '≤'} ${limit}${aim === undefined ? '' : ` (aim ${aim})`} ${unit}`.trim(),
    value === undefined ? onOneLine(reason) : `${show(value)} ${unit}`.trim(),
    interval === undefined ? '' : `${show(interval.low)} to ${show(interval.high)}`,
    isMet ? 'met' : '**missed**',
  ])
  return alignTable([['row', 'target', 'measured', '95 % interval', 'verdict'], ...lines])
}

/** Markdown that reads well as plain text: columns padded, numbers to the right. */
export function alignTable(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) => {
    const fields = row.map((field, column) =>
      column === 0 ? field.padEnd(widths[0]!) : field.padStart(widths[column]!),
    )
    return `| ${fields.join(' | ')} |`
  })
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [lines[0]!, `| ${rule.join(' | ')} |`, ...lines.slice(1)]
}

/** The tables of one section. Peers without CPU figures appear in the wall-clock tables alone. */
function sectionTables({ cpu, busiest, memory, rate, p50, p99, resumption }: Summary): string[][] {
  const tables: string[][] = []
  if (cpu.length > 0) tables.push(figureTable('CPU, µs an operation', cpu, true))
  if (peersOf(cpu).length > 1) tables.push(ratioTable(cpu))
  const isSpread = busiest.some((row) => peersOf([row]).some((peer) => isBelow(row, cpu, peer)))
  if (isSpread) tables.push(figureTable('CPU of the busiest process, µs', busiest, false))
  if (memory.length > 0) tables.push(figureTable('memory, KiB a session', memory, false))
  if (peersOf(memory).length > 1) tables.push(ratioTable(memory))
  if (rate.length > 0) {
    tables.push(figureTable('operations a second', rate, false))
    tables.push(figureTable('p50 latency, µs', p50, false))
    tables.push(figureTable('p99 latency, µs', p99, false))
  }
  if (resumption.length > 0) tables.push(bulletList(resumption))
  return tables
}

/** Whether the peer's work is shared by processes: the busiest did less than nine tenths of it. */
function isBelow(row: Row, cpu: Row[], peer: string): boolean {
  const all = figureOf(
    cpu.find(({ name }) => name === row.name),
    peer,
  )
  const busiest = figureOf(row, peer)
  return all !== undefined && busiest !== undefined && busiest < 0.9 * all
}

function bulletList(lines: string[]): string[] {
  return lines.map((line) => `- ${line}`)
}

function describePeer({ versions, remarks, handshakes }: Report, peer: string): string {
  const tls = handshakes[peer]
  return [`${peer}: ${versions[peer]}`, remarks[peer], tls && `TLS handshake: ${tls}`].filter(Boolean).join('; ')
}

function onOneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' / ')
}

/** When it was measured, and on what. */
export function describeRun({
  startedAt,
  machine,
  measuredSeconds,
}: Pick<Report, 'startedAt' | 'machine' | 'measuredSeconds'>): string {
  return (
    `${startedAt}: ${machine.cores} × ${machine.cpu}, ${machine.memoryMiB} MiB, ${machine.kernel}, ` +
    `${machine.openFiles} open files a process, load ${machine.loadAverageAtStart.toFixed(2)} before the run; ` +
    `${measuredSeconds.toFixed(0)} s of measuring`
  )
}

/** The report as Markdown: targets, tables of each section, and what it was measured on. */
export function renderReport(report: Report, sections: SummedSection[], verdicts: Verdict[]): string {
  const blocks: string[][] = verdicts.length > 0 ? [['### Targets'], targetTable(verdicts)] : []
  for (const { title, summary } of sections) blocks.push([`### ${title}`], ...sectionTables(summary))
  blocks.push(['### What was measured'])
  blocks.push(
    bulletList([
      describeRun(report),
      ...Object.keys(report.versions).map((peer) => describePeer(report, peer)),
      ...report.notes,
      ...report.failures.map((failure) => `**Failed:** ${onOneLine(failure)}`),
    ]),
  )
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

/** The first section as a chart; of its rows of memory, those of the fewest sessions. */
export function drawReport({ startedAt, machine }: Report, sections: SummedSection[]): string {
  const [first] = sections
  if (first === undefined) return ''
  const { cpu, memory } = first.summary
  const fewest = memory.filter(
    ({ name }, index) => memory.findIndex((row) => idleWorkloadOf(row.name) === idleWorkloadOf(name)) === index,
  )
  const rows = [...cpu, ...fewest]
  const [baseline = '', ...others] = peersOf(rows)
  const heading = `CPU time an operation and memory an idle session (${startedAt.slice(0, 10)}, ${machine.cores} × ${machine.cpu})`
  return drawChart(heading, rows, baseline, others)
}
