/** Which process listens on a TCP port, where the system tells (Linux's /proc; other users' processes only as root). */
import { readdir, readFile, readlink } from 'node:fs/promises'

/** The state TCP_LISTEN in /proc/net/tcp. */
const LISTEN = '0A'

/** @returns such as `dovecot (process 812)`, or undefined where it cannot be found out */
export async function findPortHolder(port: number): Promise<string | undefined> {
  const inodes = new Set<string>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const row of (await readFile(table, 'utf8').catch(() => '')).split('\n')) {
      const [, local = '', , state, , , , , , inode] = row.trim().split(/\s+/)
      if (state === LISTEN && parseInt(local.split(':')[1] ?? '', 16) === port && inode !== undefined)
        inodes.add(`socket:[${inode}]`)
    }
  }
  if (inodes.size === 0) return undefined
  for (const pid of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(pid)) continue
    for (const descriptor of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      if (!inodes.has(await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => ''))) continue
      const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'unknown')).trim()
      return `${name} (process ${pid})`
    }
  }
  return undefined
}
