/**
 * On which names, in which directories, the content of a file depends: its own, and that of every symbolic link on the way.
 * A Kubernetes volume changes by its link `..data` alone, a release by the link `current` somewhere above, and the file's own name by neither.
 */
import fs from 'node:fs'
import path from 'node:path'

/** As the kernel does (path_resolution(7)): more are taken for a ring. */
const MOST_LINKS = 40

/**
 * @param files absolute paths, present or not
 * @returns directories that exist, free of links, each with the names to look for in it
 */
export function watchedNames(files: readonly string[]): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const file of files) follow(path.resolve(file), found)
  return found
}

function follow(file: string, found: Map<string, Set<string>>): void {
  const { root } = path.parse(file)
  let directory = root
  let links = 0
  const rest = file.slice(root.length).split(path.sep)
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '' || name === '.') continue
    if (name === '..') {
      directory = path.dirname(directory)
      continue
    }
    const entry = path.join(directory, name)
    const target = readLink(entry)
    // The last name is the file itself; one that does not exist yet may come.
    if (target !== undefined || rest.length === 0 || !isDirectory(entry)) {
      found.set(directory, (found.get(directory) ?? new Set()).add(name))
    }
    if (target === undefined) {
      if (!isDirectory(entry)) return
      directory = entry
      continue
    }
    if (++links > MOST_LINKS) return
    if (path.isAbsolute(target)) directory = root
    rest.unshift(...target.split(path.sep))
  }
}

function readLink(entry: string): string | undefined {
  try {
    return fs.readlinkSync(entry)
  } catch {
    // No link, or nothing at all: the caller looks for itself.
    return undefined
  }
}

function isDirectory(entry: string): boolean {
  try {
    return fs.statSync(entry).isDirectory()
  } catch {
    // Absent, or out of reach: either way nothing can be watched in it.
    return false
  }
}
