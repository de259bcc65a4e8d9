/**
 * CSV (RFC 4180), with commas, semicolons or tabs. No name has a line feed, so that each line is a record. Lines without quotes, which
 * are nearly all, are split here: to parse a million of them takes csv-parse three seconds more.
 */
import { parse } from 'csv-parse/sync'
import { show, showUser, type Block, type FileRoute, type ReadBlock, type WrongLine } from './format.ts'

const COLUMNS = ['user', 'backend', 'login', 'status'] as const
type Column = (typeof COLUMNS)[number]

export function createCsvReader(): ReadBlock {
  let columns: readonly Column[] | undefined
  let isUnnamed = false
  let delimiter = ','
  /** the header is wrong: every line would be */
  let isGivenUp = false

  function toEntry(cells: readonly string[], line: number): FileRoute | WrongLine | undefined {
    if (!columns) {
      const header = readHeader(cells)
      if ('why' in header) isGivenUp = true
      if ('why' in header) return { line, why: header.why }
      columns = header.columns
      if (header.isHeader) return undefined
      isUnnamed = true
    }
    if (cells.length > columns.length)
      return { line, why: `${cells.length} fields, and there are ${columns.length} columns: ${columns.join(', ')}` }
    const route: FileRoute = { line, user: '', target: '', ...(isUnnamed && { isUnnamed }) }
    for (const [index, column] of columns.entries()) {
      const cell = cells[index]?.trim()
      if (cell === undefined) continue
      if (column === 'user') route.user = cell
      else if (column === 'backend') route.target = cell
      else if (column === 'login') route.login = cell === '' ? null : cell
      else route.status = cell === '' ? 'active' : cell
    }
    if (route.user === '') return { line, why: 'no user' }
    return route.target === '' ? { line, why: `no back end for ${showUser(route.user)}` } : route
  }

  return (block) => {
    if (isGivenUp) return []
    if (!columns) delimiter = findDelimiter(block.lines)
    return split(block, delimiter).flatMap(({ cells, line, why }) => {
      if (why !== undefined) return [{ line, why }]
      const isEmpty = cells.length === 1 && cells[0]?.trim() === ''
      // A name that begins so stands in quotes.
      const isComment = block.lines[line - block.first]?.startsWith('#') === true
      if (isEmpty || isComment || isGivenUp) return []
      return toEntry(cells, line) ?? []
    })
  }
}

type Cells = { line: number; cells: readonly string[]; why?: string }

function split({ first, lines }: Block, delimiter: string): Cells[] {
  const isPlain = !lines.some((line) => line.includes('"'))
  if (isPlain) return lines.map((line, index) => ({ line: first + index, cells: line.split(delimiter) }))
  const records = tryParse(lines.join('\n'), delimiter)
  if (records?.length === lines.length) return records.map((cells, index) => ({ line: first + index, cells }))
  // A quote that is not closed would take the lines behind it along.
  return lines.map((text, index) => {
    const cells = text.includes('"') ? tryParse(text, delimiter)?.[0] : text.split(delimiter)
    const line = first + index
    return cells ? { line, cells } : { line, cells: [], why: 'a quote is not closed, or stands inside of a field' }
  })
}

function tryParse(text: string, delimiter: string): string[][] | undefined {
  try {
    return parse(text, { delimiter, relax_column_count: true, skip_empty_lines: false })
  } catch {
    return undefined
  }
}

/** The first line that has one decides. */
function findDelimiter(lines: readonly string[]): string {
  for (const line of lines) {
    const found = /[,;\t]/u.exec(line)?.[0]
    if (found !== undefined && !line.startsWith('#')) return found
  }
  return ','
}

/** @param cells of the first record. Without a header the columns are user, backend, login and status, as many as there are */
function readHeader(cells: readonly string[]): { columns: readonly Column[]; isHeader: boolean } | { why: string } {
  const names = cells.map((cell) => cell.trim().toLowerCase())
  if (!names.includes('user') || !names.includes('backend')) return { columns: COLUMNS, isHeader: false }
  const isColumn = (name: string): name is Column => COLUMNS.some((column) => column === name)
  const unknown = names.find((name) => !isColumn(name))
  if (unknown !== undefined)
    return { why: `the header has the column ${show(unknown)}; there are ${COLUMNS.join(', ')}` }
  if (new Set(names).size < names.length) return { why: 'the header has a column twice' }
  return { columns: names.filter(isColumn), isHeader: true }
}
