/** All relays of this process. The only module that joins two sockets; one sweep looks after all of them. */
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
  /** From now on each relay ends as soon as no command is in progress. Those that are idle end at once. */
  drain(): void
  /** Ends what is left, whatever it is doing. */
  endAll(): void
}

export function createRelays(): Relays {
  const running = new Set<Relay>()
  const memory = createReadMemory()
  let draining = false

  return {
    run(client, backend, options) {
      const relay = new Relay(client, backend, options, memory)
      running.add(relay)
      void relay.ended.then(() => running.delete(relay))
      if (draining) relay.endWhenSafe('shutdown')
      return relay
    },
    sweep(nowMs) {
      for (const relay of running) relay.sweep(nowMs)
    },
    drain() {
      draining = true
      for (const relay of running) relay.endWhenSafe('shutdown')
    },
    endAll() {
      for (const relay of running) relay.end('shutdown-deadline')
    },
  }
}
