/**
 * Tells when a file of the configuration has other content than before. What that means, and whether it is any good, others find out.
 * Directories are watched, never a file: whoever replaces a file by another leaves a watcher of the old one deaf. What is told is a
 * change of content: a touch, a second look, a rename to and fro are none. A file that is written in place is left to settle.
 */
import fs from 'node:fs'
import path from 'node:path'
import { hasCode, systemCode } from '../errors.ts'
import { createArrivals, type Arrival } from './arrivals.ts'
import { hashAll, hashContentNow } from './content-hash.ts'
import { watchedNames } from './watched-names.ts'

export type WatchOptions = {
  /** how long it has to be quiet after an event; default 100: a few renames of a script count as one change */
  debounceMs?: number
  /** how long size and time of a file that is written in place have to stay the same; default 2000. Asked at each look. */
  settleMs?: () => number
  /** after which a directory that cannot be watched is tried again, and the files are compared; default 30 s */
  retryMs?: number
  /** Called when a directory cannot be watched, with the cause, and with undefined once all are watched again. */
  onWatching?: (failure: string | undefined) => void
  /** an `onChange` that failed. Default: thrown, which ends the process */
  onError?: (error: unknown) => void
}

/** Files that hold other content than before, and how they arrived. */
export type FileChanges = ReadonlyMap<string, Arrival>

export type FileWatcher = {
  /** Ends it; nothing is told afterwards. May be called twice. */
  close(): void
  /** Takes the files as they are now for known: they are about to be read. A later change is told. */
  takeKnown(): Promise<void>
  /** Tries at once to watch what cannot be watched so far, and takes files that are new in the list for known. */
  refresh(): Promise<void>
}

/** Whoever writes on and on cannot put a look off for longer than ten times the quiet that it waits for. */
const MOST_DELAYS = 10

/** Where this machine lacked a descriptor, the files are looked at again after this: no event would come of its having one. */
const SHORTAGE_MS = 5000

/**
 * @param files absolute paths, present or not; asked anew before each look and after each `onChange`, so that it may grow and shrink
 * @param onChange never called while its last promise is open; a change meanwhile is told afterwards
 */
export function watchFiles(
  files: () => readonly string[],
  onChange: (changes: FileChanges) => void | Promise<void>,
  options: WatchOptions = {},
): FileWatcher {
  const { debounceMs = 100, settleMs = () => 2000, retryMs = 30_000, onError = rethrow, onWatching } = options
  const arrivals = createArrivals()
  const watchers = new Map<string, { watcher: fs.FSWatcher; inode: string | undefined; names: ReadonlySet<string> }>()
  let known = new Map<string, string>()
  let timer: NodeJS.Timeout | undefined
  let settling: NodeJS.Timeout | undefined
  let failure: string | undefined
  let firstEventAt: number | undefined
  let busy = false
  let closed = false

  /** Watches where the files are now: links may have moved, directories may be others of the same name. */
  function watchDirectories(paths: readonly string[]): void {
    const unwatched = failure !== undefined
    const wanted = watchedNames(paths)
    let failed: string | undefined
    for (const [directory, { watcher, inode }] of watchers) {
      if (wanted.has(directory) && inodeOf(directory) === inode) continue
      watcher.close()
      watchers.delete(directory)
    }
    for (const [directory, names] of wanted) {
      const watched = watchers.get(directory)
      if (watched) watched.names = names
      else failed = watchDirectory(directory, names) ?? failed
    }
    if (failed !== failure) onWatching?.(failed)
    failure = failed
    // What has changed there meanwhile came without an event.
    if (unwatched && failed === undefined) lookSoon()
    // Descriptors and watches are freed by other programs, without an event here.
    if (failed !== undefined && !closed) lookIn(retryMs)
  }

  /** @returns why it cannot be watched */
  function watchDirectory(directory: string, names: ReadonlySet<string>): string | undefined {
    try {
      // Before the watch: exchanged in between, it is only watched once more.
      const inode = inodeOf(directory)
      const watcher = fs.watch(directory)
      watchers.set(directory, { watcher, inode, names })
      watcher.on('error', () => {
        watcher.close()
        watchers.delete(directory)
        lookSoon()
      })
      watcher.on('change', (event, name) => {
        // Its own name: it was moved or removed, and this watcher with it, though the next may have the same inode.
        if (name === path.basename(directory)) {
          watcher.close()
          watchers.delete(directory)
          lookSoon()
        } else if (watchers.get(directory)?.names.has(String(name)) === true) {
          arrivals.noteEvent(directory, String(name), event)
          lookSoon()
        }
      })
    } catch (error) {
      // Gone since it was found: the next look finds what there is above it.
      if (systemCode(error) !== 'ENOENT') return systemCode(error)
      lookSoon()
    }
    return undefined
  }

  /** Looks after this time at the latest, also without an event. */
  function lookIn(ms: number): void {
    clearTimeout(settling)
    settling = setTimeout(lookSoon, ms).unref()
  }

  function lookSoon(): void {
    if (closed) return
    firstEventAt ??= performance.now()
    if (busy || (timer !== undefined && performance.now() - firstEventAt > MOST_DELAYS * debounceMs)) return
    clearTimeout(timer)
    timer = setTimeout(() => void look(), debounceMs)
  }

  function lookAgain(): void {
    busy = false
    if (firstEventAt !== undefined) lookSoon()
  }

  async function look(): Promise<void> {
    timer = undefined
    firstEventAt = undefined
    busy = true
    try {
      const paths = files()
      watchDirectories(paths)
      const { waitMs, changed } = arrivals.look(paths, settleMs())
      // All of them: a file that arrived complete must not be read together with one that is half written.
      if (waitMs > 0) lookIn(waitMs)
      else await tell(paths, changed)
    } catch (error) {
      onError(error)
      if (hasCode(error, 'local-shortage')) lookIn(SHORTAGE_MS)
    }
    lookAgain()
  }

  async function tell(paths: readonly string[], arrived: FileChanges): Promise<void> {
    const found = await hashAll(paths)
    arrivals.take()
    const changed = paths.filter((file) => known.has(file) && known.get(file) !== found.get(file))
    known = found
    if (changed.length === 0) return
    // A change without a trace in size, time and inode is taken for the kind that may be half written.
    await onChange(new Map(changed.map((file) => [file, arrived.get(file) ?? 'in-place'])))
    await refresh()
  }

  /** What is new in the list is known from now on; what was in it keeps the hash that it was told with. */
  async function refresh(): Promise<void> {
    if (closed) return
    const now = files()
    watchDirectories(now)
    arrivals.look(now, 0)
    const added = await hashAll(now.filter((file) => !known.has(file)))
    known = new Map(now.map((file) => [file, known.get(file) ?? added.get(file) ?? '']))
  }

  async function takeKnown(): Promise<void> {
    const paths = files()
    arrivals.look(paths, 0)
    arrivals.take()
    known = await hashAll(paths)
  }

  const paths = files()
  // The watchers first: a change after the reading is then an event. Nothing is served yet that the reading could hold up.
  watchDirectories(paths)
  arrivals.look(paths, 0)
  arrivals.take()
  known = new Map(paths.map((file) => [file, hashContentNow(file)]))

  return {
    takeKnown,
    refresh,
    close() {
      closed = true
      clearTimeout(timer)
      clearTimeout(settling)
      for (const { watcher } of watchers.values()) watcher.close()
      watchers.clear()
    },
  }
}

function inodeOf(directory: string): string | undefined {
  const stat = fs.statSync(directory, { bigint: true, throwIfNoEntry: false })
  return stat && `${stat.dev}:${stat.ino}`
}

function rethrow(error: unknown): never {
  throw error
}
