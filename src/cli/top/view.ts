/** The lines of `mailmux top` for a terminal of some size. Nothing in them is obeyed by a terminal but what `paint.ts` adds. Pure. */
import { printable } from '../../printable.ts'
import { formatColumns } from '../table.ts'
import type { TopBackend, TopFrame } from './frame.ts'

export const SORTS = ['sessions', 'logins', 'bytes', 'waiting', 'latency', 'name'] as const
export type Sort = (typeof SORTS)[number]

export type ViewState = {
  sort: Sort
  /** back ends and reasons whose name has it; '' : all */
  filter: string
  /** the filter is being typed */
  isTyping: boolean
  showsHelp: boolean
  isPaused: boolean
  /** why the last reading failed; the frame is older then */
  error: string | undefined
}

export const FIRST_VIEW: ViewState = {
  sort: 'sessions',
  filter: '',
  isTyping: false,
  showsHelp: false,
  isPaused: false,
  error: undefined,
}

const HELP = [
  'Keys',
  '',
  '  s        sort by the next column: sessions, logins, bytes, waiting, latency, name',
  '  /        type a filter for back ends and reasons; Enter keeps it, Esc removes it',
  '  space    stop and go on',
  '  ?        show or leave this help',
  '  q        quit',
  '',
  'LOGINS/S and the latencies are those since the reading before. SLOWEST: no login took longer.',
  'All numbers are those of this instance.',
]

type Size = { columns: number; rows: number }

/** @returns at most `rows` lines of at most `columns` characters */
export function renderView(frame: TopFrame | undefined, view: ViewState, title: string, size: Size): string[] {
  const lines = view.showsHelp ? HELP : frame ? renderFrame(frame, view, size.rows) : ['reading ...']
  const footer = view.isTyping
    ? `filter: ${view.filter}_`
    : `? help  s sort: ${view.sort}  / filter${view.filter === '' ? '' : `: ${view.filter}`}  q quit`
  const head = `${title}${view.isPaused ? '  (stopped)' : ''}${view.error === undefined ? '' : `  OLD: ${view.error}`}`
  const body = lines.slice(0, Math.max(0, size.rows - 2))
  const all =
    size.rows < 2 ? [head] : [head, ...body, ...Array.from({ length: size.rows - 2 - body.length }, () => ''), footer]
  return all.slice(0, size.rows).map((line) => cut(printable(line), size.columns))
}

/** The whole of a frame, for a pipe. */
export function renderFrame(
  frame: TopFrame,
  { sort, filter }: Pick<ViewState, 'sort' | 'filter'>,
  rows = Infinity,
): string[] {
  const { logins, bytes, connections, sessions } = frame
  const wanted = filter.toLowerCase()
  const matches = (name: string): boolean => name.toLowerCase().includes(wanted)
  const backends = frame.backends.filter(({ name }) => matches(name)).sort(COMPARE[sort])
  const reasons = frame.reasons.filter(({ reason }) => matches(reason))
  // The refusals get a third of a small terminal.
  const room = Math.max(1, rows - 8)
  const reasonRows = Math.min(reasons.length, Math.max(1, Math.floor(room / 3)))
  const backendRows = Math.max(1, room - reasonRows)
  return [
    `logins/s ${rate(logins.accepted)} accepted  ${rate(logins.refused)} refused  ${rate(logins.failed)} failed`,
    `bytes/s  ${size(bytes.fromClients)} from clients  ${size(bytes.fromBackends)} from back ends`,
    `sessions ${sessions}  connections ${connections.open} of ${connections.max}`,
    '',
    ...formatColumns([
      ['BACK END', 'STATE', 'SESSIONS', 'LOGINS/S', 'BYTES/S', 'LOGGING IN', 'WAITING', 'P50', 'P99', 'SLOWEST'],
      ...backends.slice(0, backendRows).map(backendRow),
    ]),
    ...more(backends.length - backendRows, 'back ends'),
    ...(reasons.length === 0
      ? []
      : [
          '',
          ...formatColumns([
            ['REFUSED', 'PER SECOND', 'IN ALL'],
            ...reasons
              .slice(0, reasonRows)
              .map(({ reason, perSecond, total }) => [reason, rate(perSecond), String(total)]),
          ]),
          ...more(reasons.length - reasonRows, 'reasons'),
        ]),
  ]
}

function more(count: number, what: string): string[] {
  return count > 0 ? [`and ${count} more ${what}`] : []
}

const by =
  (value: (backend: TopBackend) => number) =>
  (a: TopBackend, b: TopBackend): number =>
    value(b) - value(a) || byName(a, b)
const byName = (a: TopBackend, b: TopBackend): number => (a.name < b.name ? -1 : 1)

const COMPARE: Record<Sort, (a: TopBackend, b: TopBackend) => number> = {
  sessions: by(({ sessions }) => sessions),
  logins: by(({ loginsPerSecond }) => loginsPerSecond),
  bytes: by(({ bytesPerSecond }) => bytesPerSecond),
  waiting: by(({ waiting }) => waiting),
  latency: by(({ p99Ms = -1 }) => Math.min(p99Ms, Number.MAX_VALUE)),
  name: byName,
}

function backendRow(backend: TopBackend): string[] {
  const { name, state, isUp, sessions, loginsPerSecond, bytesPerSecond, logins, waiting } = backend
  const { p50Ms, p99Ms, slowestMs } = backend
  return [
    name,
    isUp ? state : `${state}, NOT HEALTHY`,
    String(sessions),
    rate(loginsPerSecond),
    size(bytesPerSecond),
    String(logins),
    String(waiting),
    latency(p50Ms),
    latency(p99Ms),
    latency(slowestMs),
  ]
}

function latency(ms: number | undefined): string {
  if (ms === undefined) return '-'
  return ms === Infinity
    ? 'longer'
    : `<${ms < 1000 ? `${Number(ms.toPrecision(3))}ms` : `${Number((ms / 1000).toPrecision(3))}s`}`
}

function rate(perSecond: number): string {
  return perSecond < 100 ? perSecond.toFixed(1) : perSecond.toFixed(0)
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

function size(octets: number): string {
  let value = octets
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${UNITS[unit] ?? ''}`
}

function cut(line: string, columns: number): string {
  const characters = Array.from(line)
  return characters.length <= columns ? line : characters.slice(0, columns).join('')
}

/** @returns the view after a key, or `quit`. Keys without a meaning change nothing */
export function pressKey(view: ViewState, key: string): ViewState | 'quit' {
  if (key === '\x03') return 'quit' // Ctrl-C, which is no signal in raw mode
  if (view.isTyping) {
    if (key === '\r' || key === '\n') return { ...view, isTyping: false }
    if (key === '\x1b') return { ...view, isTyping: false, filter: '' }
    if (key === '\x7f' || key === '\b') return { ...view, filter: Array.from(view.filter).slice(0, -1).join('') }
    const isText = !/\p{Cc}/u.test(key) && view.filter.length + key.length <= MAX_FILTER_LENGTH
    return isText ? { ...view, filter: view.filter + key } : view
  }
  switch (key) {
    case 'q':
      return 'quit'
    case '?':
      return { ...view, showsHelp: !view.showsHelp }
    case 's':
      return { ...view, sort: SORTS[(SORTS.indexOf(view.sort) + 1) % SORTS.length] ?? 'sessions' }
    case '/':
      return { ...view, isTyping: true, filter: '' }
    case ' ':
      return { ...view, isPaused: !view.isPaused }
    case '\x1b':
      return { ...view, showsHelp: false, filter: '' }
    default:
      return view
  }
}

const MAX_FILTER_LENGTH = 60
