/** Whether all Redis servers that may hold a route report their changes. Pure: combines the states of the servers into one. */

export type TrackingState = {
  /** Adds a server, which is not tracked yet. */
  add(server: string): void
  /** Removes a server that holds no routes any more. */
  remove(server: string): void
  /** The server reports each change from now on. */
  tracked(server: string): void
  lost(server: string): void
}

/**
 * @param onTracked all servers report changes from now on; cached routes must be compared
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
