/**
 * Whether only this user or root can have written a file. A user that can write a file of routes, or replace it in one of the
 * directories above it, can direct every password to a back end of its choice.
 */
import fs from 'node:fs'
import path from 'node:path'

type Ownership = Pick<fs.Stats, 'uid' | 'mode'>

const ROOT = 0
const WRITABLE_BY_OTHERS = 0o022
/** In such a directory only the owner of a file may remove or rename it, as in /tmp. */
const STICKY = 0o1000

/** @returns why another user may have written the file, or undefined */
export function whyUntrustedFile({ uid, mode }: Ownership, ownUid: number): string | undefined {
  if (uid !== ownUid && uid !== ROOT) return 'it belongs to another user'
  return (mode & WRITABLE_BY_OTHERS) === 0 ? undefined : 'others may write to it'
}

/** @returns why another user may have replaced what is in the directory, or undefined */
export function whyUntrustedDirectory({ uid, mode }: Ownership, ownUid: number): string | undefined {
  if (uid !== ownUid && uid !== ROOT) return 'its directory belongs to another user'
  if ((mode & STICKY) !== 0) return undefined
  return (mode & WRITABLE_BY_OTHERS) === 0 ? undefined : 'others may write to its directory'
}

/**
 * @param file its absolute path
 * @returns why one of the directories above the file, by any link that leads there, cannot be trusted; undefined where all can
 */
export function whyUntrustedPath(file: string, ownUid: number): string | undefined {
  for (const one of new Set([file, resolveLinks(file)])) {
    for (let directory = path.dirname(one); ; directory = path.dirname(directory)) {
      const why = whyUntrustedDirectory(fs.statSync(directory), ownUid)
      if (why !== undefined) return `${why}: ${directory}`
      if (directory === path.dirname(directory)) break
    }
  }
  return undefined
}

function resolveLinks(file: string): string {
  try {
    return fs.realpathSync(file)
  } catch {
    return path.join(fs.realpathSync(path.dirname(file)), path.basename(file)) // the file itself is not there yet
  }
}
