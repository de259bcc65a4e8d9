/** The runtime's own floor: a proxy of a page, which parses and checks next to nothing, on the same Node as mailmux, and on Bun. */
import { join } from 'node:path'
import { freePort } from '../../support/ports.ts'
import { BUN, describeBun } from './bun.ts'
import { isBound, type Peer, startProxy } from './peer.ts'

const PROGRAM = join(import.meta.dirname, '../bare-relay.ts')

function createPeer(name: string, runtime: string, version: () => Promise<string>): Peer {
  return {
    name,
    packages: [],
    remark: 'one process; a page of code that relays and does nothing else: no checks, limits, metrics or log',
    version,
    async start({ scene, backend, certificate, nodeOptions }) {
      const ports = { imap: await freePort(), imaps: await freePort(), pop3: await freePort() }
      const numbers = [ports.imap, ports.imaps, ports.pop3, backend.imap, backend.pop3].map(String)
      const options = runtime === BUN ? [] : nodeOptions
      const command = [runtime, ...options, PROGRAM, ...numbers, certificate.certFile, certificate.keyFile]
      const { pid, stop } = await startProxy(scene, name, command, () => isBound(ports.imaps))
      return { pids: [pid], ports, stop }
    },
  }
}

export const bare = createPeer('bare', process.execPath, () => Promise.resolve(`node ${process.version}`))

export const bareBun = createPeer('bare-bun', BUN, describeBun)
