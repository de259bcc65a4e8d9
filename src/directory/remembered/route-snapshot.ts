/**
 * The format of remembered routes in a file: a header line, a line for each route, and a last line with a checksum, which detects a
 * truncated or changed file. A file with any fault is refused as a whole: a part of it may be inconsistent. Pure.
 */
import { createHash, type Hash } from 'node:crypto'
import { canBeLogin } from '../../user-name.ts'
import type { RememberedRoute } from './route-cache.ts'
import type { DirectoryEntry } from '../entry.ts'

const FORMAT = 'mailmux routes'
const VERSION = 1

/** Bound of stored routes: reading a million takes two seconds at the start. */
export const MAX_ROUTES = 1_000_000
/** A million routes take less than half of it. A larger file is not read; Node has no string of more than 512 MiB. */
export const MAX_BYTES = 256 * 1024 ** 2
/** No line is longer, because the fields are bounded. */
const MAX_LINE_BYTES = 8192

/** A clock may be set back this far between two starts; beyond that the ages are invalid. */
const CLOCK_SLACK_MS = 60_000

export type SnapshotOrigin = {
  /** the store of the routes: another Redis or another prefix has other users with the same names */
  store: string
  /** milliseconds of the epoch, because the file outlives the process */
  nowMs: number
}

export type Snapshot = {
  routes: RememberedRoute[]
  /** the id of the directory's marker (redis/marker.ts), if it was seen */
  marker?: string
  savedAtMs: number
}

export type SnapshotWriter = {
  /** @returns the text to write first */
  begin(): string
  /** @returns the text to write next; empty if it does not fit any more */
  add(routes: readonly RememberedRoute[]): string
  /** @returns the text to write last */
  end(): string
}

export function createSnapshotWriter({ store, nowMs }: SnapshotOrigin, marker?: string): SnapshotWriter {
  const hash = createHash('sha256')
  let count = 0
  let bytes = 0
  function say(text: string): string {
    hash.update(text)
    bytes += Buffer.byteLength(text)
    return text
  }
  return {
    begin: () => say(`${JSON.stringify({ format: FORMAT, version: VERSION, store, savedAtMs: nowMs, marker })}\n`),
    add(routes) {
      if (bytes + routes.length * MAX_LINE_BYTES > MAX_BYTES) return ''
      count += routes.length
      return say(routes.map((route) => `${JSON.stringify(toLine(route, nowMs))}\n`).join(''))
    },
    end: () => `${JSON.stringify({ routes: count, sha256: hash.digest('hex') })}\n`,
  }
}

/** The last field of a line if the store had no such route any more. */
const GONE = 'gone'

type Line = [
  user: string,
  backend: string,
  readAtMs: number,
  login: string | null,
  status: DirectoryEntry['status'],
  gone?: typeof GONE,
]

function toLine({ user, entry: { backend, login, status }, ageMs, gone }: RememberedRoute, nowMs: number): Line {
  const line = [user, backend, Math.round(nowMs - ageMs), login ?? null, status] as const
  return gone ? [...line, GONE] : [...line]
}

/**
 * @param bytes a whole file
 * @param maxStaleMs routes that are older are left out
 * @returns the routes in the order in which they were written, or why the file is refused
 */
export function readSnapshot(
  bytes: Buffer,
  { store, nowMs, maxStaleMs }: SnapshotOrigin & { maxStaleMs: number },
): Snapshot | { refused: string } {
  const end = bytes.length - 1
  const lastLine = bytes.lastIndexOf('\n', end - 1) + 1
  if (bytes.length === 0 || bytes[end] !== NEW_LINE || lastLine === 0) return { refused: 'cut short' }
  const body = bytes.subarray(0, lastLine)
  const trailer = parseLine(bytes.toString('utf8', lastLine, end))
  const hash: Hash = createHash('sha256').update(body)
  if (!isObject(trailer) || trailer.sha256 !== hash.digest('hex')) return { refused: 'cut short or changed' }

  const [first = '', ...lines] = body.toString('utf8', 0, body.length - 1).split('\n')
  const header = parseLine(first)
  if (!isObject(header) || header.format !== FORMAT) return { refused: 'no file of routes' }
  if (header.version !== VERSION) return { refused: 'of another version of mailmux' }
  if (header.store !== store) return { refused: 'of another Redis or another prefix' }
  const { savedAtMs, marker } = header
  if (typeof savedAtMs !== 'number' || savedAtMs > nowMs + CLOCK_SLACK_MS) return { refused: 'from the future' }
  if (lines.length !== trailer.routes || lines.length > MAX_ROUTES) return { refused: 'of another number of routes' }

  if (marker !== undefined && !isShort(marker)) return { refused: 'a marker in it makes no sense' }

  const routes: RememberedRoute[] = []
  for (const line of lines) {
    const route = toRoute(parseLine(line), savedAtMs, nowMs)
    if (!route) return { refused: 'a route in it makes no sense' }
    if (route.ageMs < maxStaleMs) routes.push(route)
  }
  return { routes, savedAtMs, ...(marker !== undefined && { marker }) }
}

const NEW_LINE = 0x0a

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

const STATUSES: readonly unknown[] = ['active', 'hold', 'disabled']

/** Checks only the form. The router checks for each route that its back end exists and its login is valid. */
function toRoute(line: unknown, savedAtMs: number, nowMs: number): RememberedRoute | undefined {
  const fields: unknown[] = Array.isArray(line) ? line : []
  if (fields.length !== 5 && !(fields.length === 6 && fields[5] === GONE)) return undefined
  const [user, backend, readAtMs, login, status, gone] = fields
  if (!isShort(user) || !canBeLogin(user) || !isShort(backend) || !(login === null || isShort(login))) return undefined
  if (typeof readAtMs !== 'number' || !(readAtMs <= savedAtMs) || !STATUSES.includes(status)) return undefined
  const entry = { backend, login: login ?? undefined, status: status as DirectoryEntry['status'] }
  return { user, entry, ageMs: Math.max(0, nowMs - readAtMs), ...(gone === GONE && { gone: true }) }
}

/** The longest name; fields of the store have the same bound. */
function isShort(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 320
}
