/** Whether every Redis that may hold a route tells of its changes. Pure: what is told is added up, and the sum is told on. */

export type TrackingState = {
  /** There is one more to hear from. */
  add(server: string): void
  /** It holds no routes any more. */
  remove(server: string): void
  /** It tells of every change from now on. */
  tracked(server: string): void
  lost(server: string): void
}

/**
 * @param onTracked all of them tell from now on; what was known before is to be compared
 * @param onLost changes may be missed from now on
 */
export function createTrackingState(onTracked: () => void, onLost: () => void): TrackingState {
  const servers = new Map<string, boolean>()
  let allTracked = false

  function sum(): void {
    const all = servers.size > 0 && [...servers.values()].every((isTracked) => isTracked)
    if (all === allTracked) return
    allTracked = all
    if (allTracked) onTracked()
    else onLost()
  }

  return {
    add(server) {
      if (!servers.has(server)) servers.set(server, false)
      sum()
    },
    remove(server) {
      servers.delete(server)
      sum()
    },
    tracked(server) {
      if (servers.has(server)) servers.set(server, true)
      sum()
    },
    lost(server) {
      if (servers.has(server)) servers.set(server, false)
      sum()
    },
  }
}
