/** Which processes listen on TCP ports, where the system tells (Linux's /proc; other users' processes only as root). */
import { readdir, readFile, readlink } from 'node:fs/promises'

/** The state TCP_LISTEN in /proc/net/tcp. */
const LISTEN = '0A'

export type PortHolder = { port: number; name: string; pid: number }

/** @returns such as `dovecot (process 812)`, or undefined where it cannot be found out */
export async function findPortHolder(port: number): Promise<string | undefined> {
  const { value: holder } = await portHolders(new Set([port])).next()
  return holder && `${holder.name} (process ${holder.pid})`
}

/** Each process that listens on one of these ports, as it is found. A large process takes a second or two. */
export async function* portHolders(ports: ReadonlySet<number>): AsyncGenerator<PortHolder, undefined> {
  const portOf = new Map<string, number>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const row of (await readFile(table, 'utf8').catch(() => '')).split('\n')) {
      const [, local = '', , state, , , , , , inode] = row.trim().split(/\s+/)
      const port = parseInt(local.split(':')[1] ?? '', 16)
      if (state === LISTEN && ports.has(port) && inode !== undefined) portOf.set(`socket:[${inode}]`, port)
    }
  }
  if (portOf.size === 0) return undefined
  for (const pid of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(pid)) continue
    for (const descriptor of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const port = portOf.get(await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => ''))
      if (port === undefined) continue
      const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'unknown')).trim()
      yield { port, name, pid: Number(pid) }
    }
  }
  return undefined
}
