/** Where temporary directories are made that other users must enter: as root, Dovecot and Cyrus read mail as users of their own. */
import { statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'

/** Whether any user may pass through the directory and all above it. */
export function mayEveryoneEnter(directory: string): boolean {
  const enterable = (statSync(directory).mode & 0o001) !== 0
  return enterable && (dirname(directory) === directory || mayEveryoneEnter(dirname(directory)))
}

/** The system's temporary directory, or where that is closed to others, such as TMPDIR in root's home, /var/tmp. */
export function openTemporaryRoot(): string {
  const own = tmpdir()
  return process.getuid?.() !== 0 || mayEveryoneEnter(own) ? own : '/var/tmp'
}
