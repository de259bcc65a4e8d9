/** No proxy at all: what the load generator and the back end can do by themselves, the ceiling of every throughput in the table. */
import type { Peer } from './peer.ts'

export const direct: Peer = {
  name: 'direct',
  packages: [],
  remark: 'no proxy: the ceiling of the wall-clock figures',
  version: () => Promise.resolve('the back end alone'),
  start: ({ backend }) =>
    Promise.resolve({ pids: [], ports: { imap: backend.imap, pop3: backend.pop3 }, stop: () => Promise.resolve() }),
}
