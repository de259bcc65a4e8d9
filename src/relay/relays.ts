/** All relays of this process. The only module that joins two sockets; one sweep checks all of them. */
import type { Socket } from 'node:net'
import { createReadMemory } from '../net/lean-socket.ts'
import type { RelayHandle, RelayOptions } from './options.ts'
import { Relay } from './relay.ts'

export type { LeaveCause, RelayCause, RelayEnding, RelayHandle, RelayOptions } from './options.ts'

export type Relays = {
  /** Owns both sockets from here on. */
  run(client: Socket, backend: Socket, options: RelayOptions): RelayHandle
  /** Looks for relays that have been silent for too long; to be called about once a second. @param nowMs a monotonic clock */
  sweep(nowMs: number): void
}

export function createRelays(): Relays {
  const running = new Set<Relay>()
  const memory = createReadMemory()

  return {
    run(client, backend, options) {
      const relay = new Relay(client, backend, options, memory)
      running.add(relay)
      void relay.ended.then(() => running.delete(relay))
      return relay
    },
    sweep(nowMs) {
      for (const relay of running) relay.sweep(nowMs)
    },
  }
}
