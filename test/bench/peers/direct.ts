/** No proxy at all: what the load generator and the sink can do by themselves, the ceiling of every throughput in the table. */
import type { Peer } from './peer.ts'

export const direct: Peer = {
  name: 'direct',
  packages: [],
  version: () => Promise.resolve('the sink alone'),
  start: ({ sinkPort }) =>
    Promise.resolve({ pid: undefined, ports: { clear: sinkPort, tls: undefined }, stop: () => Promise.resolve() }),
}
