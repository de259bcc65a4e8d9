/**
 * Stores remembered routes on disk, for a start while the directory is unavailable. A new file is written aside, flushed and renamed,
 * so that the file is always complete. It is written in batches, between which logins are served. Errors of the disk are only logged.
 */
import fs from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { isShortage, systemCode, type NoteShortage } from '../../errors.ts'
import type { Log } from '../../log.ts'
import {
  createSnapshotWriter,
  MAX_BYTES,
  MAX_ROUTES,
  readSnapshot,
  type Snapshot,
  type SnapshotOrigin,
} from './route-snapshot.ts'
import { whyUntrustedFile, whyUntrustedPath } from './trusted-file.ts'
import type { RememberedRoute, RouteCache } from './route-cache.ts'

/** Changes within this time before a crash are missing; a shorter interval would keep the disk busy. */
const SAVE_EVERY_MS = 30_000
/** Writing takes at most this fraction of the time: after a slow write the next one waits longer. */
const SAVE_SHARE = 50
/** Routes in one batch: about half a millisecond, by which a login may be delayed. */
const BATCH = 500

/** @param slot the number of the worker that writes, from 1 */
export function snapshotFileOf(file: string, slot: number): string {
  return slot === 1 ? file : `${file}.${slot}`
}

/**
 * Reads the files of all workers, whatever their number was: the newest route of each user, and the marker that was seen last.
 * Each file is accepted or refused separately.
 * @param file of the first worker
 */
export function loadSnapshots(
  file: string,
  origin: SnapshotOrigin & { maxStaleMs: number },
  log: Log,
): Pick<Snapshot, 'routes' | 'marker'> {
  const read = snapshotFiles(file).flatMap((one) => loadSnapshot(one, origin, log) ?? [])
  const marker = read.filter((one) => one.marker !== undefined).sort((a, b) => b.savedAtMs - a.savedAtMs)[0]?.marker
  const seen = marker === undefined ? {} : { marker }
  if (read.length <= 1) return { routes: read[0]?.routes ?? [], ...seen }
  const newest = new Map<string, RememberedRoute>()
  // Each file has the most recently used routes first, which are kept if not all fit: the files are therefore read in parallel.
  const inOrder = read.flatMap(({ routes }) => [...routes.entries()]).sort(([a], [b]) => a - b)
  for (const [, route] of inOrder) {
    const other = newest.get(route.user)
    if (!other || route.ageMs < other.ageMs) newest.set(route.user, route)
  }
  return { routes: [...newest.values()], ...seen }
}

function snapshotFiles(file: string): string[] {
  const name = path.basename(file)
  try {
    const others = fs.readdirSync(path.dirname(file)).filter((one) => one.startsWith(`${name}.`))
    const ofWorkers = others.filter((one) => /^[1-9]\d?$/.test(one.slice(name.length + 1)))
    return [file, ...ofWorkers.map((one) => path.join(path.dirname(file), one))]
  } catch {
    return [file] // reading that file reports the error
  }
}

/**
 * @param file its absolute path
 * @returns undefined without a file, or if it is not trusted, which is logged
 */
export function loadSnapshot(
  file: string,
  origin: SnapshotOrigin & { maxStaleMs: number },
  log: Log,
): Snapshot | undefined {
  let read: ReturnType<typeof readSnapshot>
  try {
    const bytes = readBounded(file)
    if (bytes === undefined) return undefined
    read = readSnapshot(bytes, origin)
  } catch (error) {
    read = { refused: systemCode(error) }
  }
  if ('refused' in read) {
    log.error({ file, cause: read.refused }, 'known routes on disk are refused')
    return undefined
  }
  log.info({ file, routes: read.routes.length }, 'known routes read from disk')
  return read
}

/** @returns undefined without a file. @throws Error if it must not be read */
function readBounded(file: string): Buffer | undefined {
  const ownUid = process.geteuid?.() ?? 0
  let descriptor: number
  try {
    descriptor = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK) // opening a pipe would wait for its writer
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const stat = fs.fstatSync(descriptor)
    if (!stat.isFile()) throw new Error('no file')
    const untrusted = whyUntrustedFile(stat, ownUid) ?? whyUntrustedPath(file, ownUid)
    if (untrusted !== undefined) throw new Error(untrusted)
    if (stat.size > MAX_BYTES) throw new Error('too large')
    return fs.readFileSync(descriptor)
  } finally {
    fs.closeSync(descriptor)
  }
}

export type SnapshotKeeper = {
  /** Waits for a write in progress, then writes later changes, unless another directory has the file. */
  close(how?: { isReplaced: boolean }): Promise<void>
}

/** The content of a snapshot: the routes of the cache, and the id of the directory's marker. */
type SnapshotSource = Pick<RouteCache, 'users' | 'remembered' | 'revision'> & { marker?: () => string | undefined }

export type SnapshotMonitor = {
  noteShortage?: NoteShortage
  /** The file had all routes at this time, in ms since 1970. */
  snapshotIsComplete?: (atMs: number) => void
}

/** Writes the snapshot periodically if it may have changed since the last write. */
export function keepSnapshot(
  file: string,
  store: string,
  source: SnapshotSource,
  log: Log,
  { noteShortage, snapshotIsComplete }: SnapshotMonitor = {},
): SnapshotKeeper {
  let saved = source.revision()
  let savedMarker = source.marker?.()
  let saving = Promise.resolve()
  let timer: NodeJS.Timeout | undefined
  let said: string | undefined

  async function save(): Promise<void> {
    const [revision, marker] = [source.revision(), source.marker?.()]
    const askedMs = Date.now()
    if (revision === saved && marker === savedMarker) return snapshotIsComplete?.(askedMs)
    try {
      await writeSnapshot(file, store, source, marker)
      saved = revision
      savedMarker = marker
      said = undefined
      snapshotIsComplete?.(askedMs)
    } catch (error) {
      const cause = systemCode(error)
      // The previous file stays, and the next attempt follows in 30 s.
      if (isShortage(error)) noteShortage?.('snapshot', `${file}: ${cause}`)
      else if (cause !== said) log.error({ file, cause }, 'known routes cannot be written to disk')
      said = cause
    }
  }
  function wait(ms: number): void {
    timer = setTimeout(() => {
      const started = performance.now()
      saving = save().then(() => {
        if (timer !== undefined) wait(Math.max(SAVE_EVERY_MS, SAVE_SHARE * (performance.now() - started)))
      })
    }, ms)
    timer.unref()
  }
  snapshotIsComplete?.(Date.now()) // what is remembered at the start comes from the file
  wait(SAVE_EVERY_MS)
  return {
    async close(how = { isReplaced: false }) {
      clearTimeout(timer)
      timer = undefined
      await saving
      if (!how.isReplaced) await save()
    },
  }
}

async function writeSnapshot(
  file: string,
  store: string,
  cache: SnapshotSource,
  marker: string | undefined,
): Promise<void> {
  const aside = `${file}.tmp`
  const writer = createSnapshotWriter({ store, nowMs: Date.now() }, marker)
  const users = cache.users(MAX_ROUTES)
  await rm(aside, { force: true }) // left by a process that ended during a write
  const handle = await open(aside, 'wx', 0o600)
  try {
    await handle.writeFile(writer.begin())
    for (let from = 0; from < users.length; from += BATCH) {
      const routes = users.slice(from, from + BATCH).flatMap((user) => cache.remembered(user) ?? [])
      await handle.writeFile(writer.add(routes))
    }
    await handle.writeFile(writer.end())
    await handle.sync()
  } catch (error) {
    await rm(aside, { force: true })
    throw error
  } finally {
    await handle.close()
  }
  await rename(aside, file)
  // The rename must survive a power failure too.
  const directory = await open(path.dirname(file), 'r')
  await directory.sync().finally(() => directory.close())
}
