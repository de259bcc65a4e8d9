/** The sockets that a process has open, as Linux shows them under /proc. */
import { readdir, readlink } from 'node:fs/promises'

export async function countSockets(pid: number): Promise<number> {
  const directory = `/proc/${pid}/fd`
  const links = await Promise.all(
    (await readdir(directory)).map((name) => readlink(`${directory}/${name}`).catch(() => '')), // closed meanwhile
  )
  return links.filter((link) => link.startsWith('socket:')).length
}
