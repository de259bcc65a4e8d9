/** The runtime's own floor: a proxy of a page, which parses and checks next to nothing, on the same Node as mailmux. */
import { join } from 'node:path'
import { freePort } from '../../support/ports.ts'
import { isBound, type Peer, startProxy } from './peer.ts'

const PROGRAM = join(import.meta.dirname, '../bare-relay.ts')

export const bare: Peer = {
  name: 'bare',
  packages: [],
  remark: 'one process; a page of code that relays and does nothing else: no checks, limits, metrics or log',
  version: () => Promise.resolve(`node ${process.version}`),
  async start({ scene, backend, certificate }) {
    const ports = { imap: await freePort(), imaps: await freePort(), pop3: await freePort() }
    const numbers = [ports.imap, ports.imaps, ports.pop3, backend.imap, backend.pop3].map(String)
    const command = [process.execPath, PROGRAM, ...numbers, certificate.certFile, certificate.keyFile]
    const { pid, stop } = await startProxy(scene, 'bare', command, () => isBound(ports.imaps))
    return { pids: [pid], ports, stop }
  },
}
