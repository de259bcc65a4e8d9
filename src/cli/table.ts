/** Text for a terminal: labels and columns in line, and nothing in it that a terminal would obey. Pure. */
import { printable } from '../printable.ts'

/** A label, and under it lines of cells. */
export type Row = { label: string; lines: readonly (readonly string[])[] }

/** Lines without their ends. Columns are as wide as their widest cell, but for the last, which may run on. */
export function formatTable(rows: readonly Row[]): string[] {
  const indent = Math.max(...rows.map(({ label }) => label.length)) + 2
  return rows.flatMap(({ label, lines }) =>
    align(lines).map((text, index) => printable(`${(index === 0 ? label : '').padEnd(indent)}${text}`.trimEnd())),
  )
}

/** The same without labels; the first line has the names of the columns. */
export function formatColumns(lines: readonly (readonly string[])[]): string[] {
  return align(lines).map((text) => printable(text.trimEnd()))
}

function align(lines: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const cells of lines) {
    cells.slice(0, -1).forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)))
  }
  return lines.map((cells) =>
    cells.map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join('  '),
  )
}

/** `850ms`, `12s`, `3m 5s`, `2h 10m`, `4d 1h`: the two largest units. */
export function formatMs(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`
  const seconds = Math.floor(ms / 1000)
  for (const [unit, size, smaller, rest] of UNITS) {
    if (seconds < size) continue
    const left = Math.floor((seconds % size) / rest)
    return `${Math.floor(seconds / size)}${unit}${left === 0 ? '' : ` ${left}${smaller}`}`
  }
  return `${seconds}s`
}

const UNITS = [
  ['d', 86_400, 'h', 3600],
  ['h', 3600, 'm', 60],
  ['m', 60, 's', 1],
] as const
