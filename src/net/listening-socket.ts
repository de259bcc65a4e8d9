/** What address an inherited descriptor listens on, where the system tells (Linux's /proc). Node tells it only of a socket that it accepts from. */
import { readFile, readlink } from 'node:fs/promises'
import { addressOf } from './address.ts'

/** The state TCP_LISTEN in /proc/net/tcp. */
const LISTEN = '0A'
/** The kernel prints addresses as numbers of 32 bits in the byte order of the machine, of which all that Node runs on are little-endian. */
const WORD_DIGITS = 8

/** @returns undefined for a descriptor that is closed, or is no listening TCP socket */
export async function listeningAddress(descriptor: number): Promise<{ host: string; port: number } | undefined> {
  const link = await readlink(`/proc/self/fd/${descriptor}`).catch(() => '')
  const inode = /^socket:\[(?<inode>\d+)\]$/u.exec(link)?.groups?.inode
  if (inode === undefined) return undefined
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const found = findInTable(await readFile(table, 'utf8').catch(() => ''), inode)
    if (found) return found
  }
  return undefined
}

/** Exported for its test. @param table the text of /proc/net/tcp or /proc/net/tcp6 */
export function findInTable(table: string, inode: string): { host: string; port: number } | undefined {
  for (const row of table.split('\n')) {
    const [, local = '', , state, , , , , , own] = row.trim().split(/\s+/u)
    if (state !== LISTEN || own !== inode) continue
    const [address = '', port = ''] = local.split(':')
    return { host: addressOf(octetsIn(address)), port: parseInt(port, 16) }
  }
  return undefined
}

/** @param digits of one word (IPv4) or four (IPv6) */
function octetsIn(digits: string): number[] {
  const octets: number[] = []
  for (let at = 0; at < digits.length; at += WORD_DIGITS) {
    octets.push(...Buffer.from(digits.slice(at, at + WORD_DIGITS), 'hex').reverse())
  }
  return octets
}
