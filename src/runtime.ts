/**
 * The runtime of this process, Node or Bun, and in what they differ for mailmux. Other files ask for a difference by its name, not for the
 * runtime. Each difference says where it is documented, and ends with it.
 */
import net from 'node:net'

export type Runtime = { name: 'node' | 'bun'; version: string }

/** @param versions those of the process; Bun names a version of Node too */
export function describeRuntime(versions: { node: string; bun?: string | undefined }): Runtime {
  return versions.bun === undefined ? { name: 'node', version: versions.node } : { name: 'bun', version: versions.bun }
}

export const runtime = describeRuntime(process.versions)

/** For people: `node 26.10.0`. */
export const runtimeName = `${runtime.name} ${runtime.version}`

/**
 * Whether a process can bind a port without accepting from it (`net.BoundSocket`, Node 26.4). The supervisor then holds the ports of its
 * workers. Bun 1.4 has no such class.
 */
export const BINDS_ALONE = 'BoundSocket' in net

/**
 * Whether the workers bind by `node:cluster`, whose primary then holds the ports without accepting from them. On Bun this is the only way
 * for several processes to accept from one socket: with SO_REUSEPORT each would have a queue of its own, and lose it when it crashes.
 */
export const BINDS_BY_CLUSTER = runtime.name === 'bun'

/** Bun reads into memory of its own and copies to the given buffer, so on Bun the default reads are cheaper. */
export const READS_INTO_GIVEN_BUFFER = runtime.name === 'node'
