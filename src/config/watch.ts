/**
 * Tells when a file of the configuration has other content than before. What that means, and whether it is any good, others find out.
 * Directories are watched, never a file: whoever replaces a file by another leaves a watcher of the old one deaf. What is told is a
 * change of content: a touch, a second look, a rename to and fro are none.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { hasCode, systemCode } from '../errors.ts'
import { MAX_YAML_BYTES, readRegularFile } from './regular-file.ts'
import { watchedNames } from './watched-names.ts'

export type WatchOptions = {
  /** how long it has to be quiet after an event; default 100: an editor's or a script's few writes count as one change */
  debounceMs?: number
  /** a directory that cannot be watched, or an `onChange` that failed; SIGHUP still works. Default: thrown, which ends the process */
  onError?: (error: unknown) => void
}

export type FileWatcher = {
  /** Ends it; nothing is told afterwards. May be called twice. */
  close(): void
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
  onChange: () => void | Promise<void>,
  options: WatchOptions = {},
): FileWatcher {
  const { debounceMs = 100, onError = rethrow } = options
  const watchers = new Map<string, { watcher: fs.FSWatcher; inode: string | undefined; names: ReadonlySet<string> }>()
  let known = new Map<string, string>()
  let timer: NodeJS.Timeout | undefined
  let again: NodeJS.Timeout | undefined
  let firstEventAt: number | undefined
  let busy = false
  let closed = false

  /** Watches where the files are now: links may have moved, directories may be others of the same name. */
  function watchDirectories(paths: readonly string[]): void {
    const wanted = watchedNames(paths)
    for (const [directory, { watcher, inode }] of watchers) {
      if (wanted.has(directory) && inodeOf(directory) === inode) continue
      watcher.close()
      watchers.delete(directory)
    }
    for (const [directory, names] of wanted) {
      const watched = watchers.get(directory)
      if (watched) watched.names = names
      else watchDirectory(directory, names)
    }
  }

  function watchDirectory(directory: string, names: ReadonlySet<string>): void {
    try {
      // Before the watch: exchanged in between, it is only watched once more.
      const inode = inodeOf(directory)
      const watcher = fs.watch(directory)
      watchers.set(directory, { watcher, inode, names })
      watcher.on('error', onError)
      watcher.on('change', (_, name) => {
        // Its own name: it was moved or removed, and this watcher with it, though the next may have the same inode.
        if (name === path.basename(directory)) {
          watcher.close()
          watchers.delete(directory)
          lookSoon()
        } else if (watchers.get(directory)?.names.has(String(name)) === true) lookSoon()
      })
    } catch (error) {
      // Gone since it was found: the next look finds what there is above it.
      if (systemCode(error) === 'ENOENT') lookSoon()
      else onError(error)
    }
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
      const found = readAll()
      const changed = [...found].some(([file, hash]) => known.has(file) && known.get(file) !== hash)
      known = found
      if (changed) {
        await onChange()
        // What is new in the list is known from now on; what was in it keeps the hash that it was told with.
        if (!closed) known = new Map([...readAll()].map(([file, hash]) => [file, found.get(file) ?? hash]))
      }
    } catch (error) {
      onError(error)
      if (hasCode(error, 'local-shortage')) again = setTimeout(lookSoon, SHORTAGE_MS)
    }
    lookAgain()
  }

  /** The watchers first: a change after the reading is then an event. */
  function readAll(): Map<string, string> {
    const paths = files()
    watchDirectories(paths)
    return new Map(paths.map((file) => [file, contentHash(file)]))
  }

  known = readAll()

  return {
    close() {
      closed = true
      clearTimeout(timer)
      clearTimeout(again)
      for (const { watcher } of watchers.values()) watcher.close()
      watchers.clear()
    },
  }
}

/** A file that is absent or cannot be read has a hash too: its coming and going are changes. */
function contentHash(file: string): string {
  const read = readRegularFile(file, MAX_YAML_BYTES)
  return 'wrong' in read ? read.wrong : createHash('sha256').update(read.value).digest('hex')
}

function inodeOf(directory: string): string | undefined {
  const stat = fs.statSync(directory, { bigint: true, throwIfNoEntry: false })
  return stat && `${stat.dev}:${stat.ino}`
}

function rethrow(error: unknown): never {
  throw error
}
