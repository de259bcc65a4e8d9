/**
 * Admission of logins to back ends. The gate of a back end limits its sessions, the logins under way and the logins per second. After
 * an outage the limits are lower at first (slow start). A login that reaches a limit waits in a bounded queue for a bounded time, and
 * is refused after that. The gates outlive worlds: a reload changes their limits and keeps their queues.
 */
import type { BackendSettings, ProtocolName } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { Gate, type GateFacts, type GateParts } from './gate.ts'
import type { Slot } from './slot.ts'
import type { WaitOptions } from './wait.ts'

/** Interval of the timer that serves all gates while logins wait. A user does not notice a delay of 50 ms. */
const TICK_MS = 50

export type Clock = {
  nowMs: () => number
  /** @returns a function that stops the timer */
  every(ms: number, run: () => void): () => void
}

export type Admissions = {
  /**
   * @returns a slot if no limit is reached and no login waits; undefined if the caller must `wait`
   * @param attempt number of the attempt of its login, from 1. A further attempt goes ahead of first attempts.
   * @param address the client's, for the share of its network; undefined if no client has an address
   */
  enter(backend: BackendSettings, attempt: number, address?: string): Slot | undefined
  /** Resolves with a slot within the wait limit. @throws MuxError `backend-busy`, `backend-down`, `shutting-down`, or the reason of the signal */
  wait(backend: BackendSettings, attempt: number, options: WaitOptions): Promise<Slot>
  /** The back end is down for this protocol: the waits for it end. */
  lost: (name: string, protocol: ProtocolName) => void
  /** The back end is up again after `lostForMs`: its slow start begins. */
  recovered: (name: string, lostForMs: number) => void
  /** Applies the limits of a new configuration. */
  configure(backends: ReadonlyMap<string, BackendSettings>): void
  /** The state of each gate. */
  describe: () => GateFacts[]
  /** Ends every wait, and each later wait at once. Slots in use stay valid. */
  close(): void
}

export type AdmissionParts = {
  log: Log
  /** called at the end of each wait, with the limit that caused it */
  loginWaited: GateParts['loginWaited']
  clock?: Clock
  random?: GateParts['random']
}

const SYSTEM_CLOCK: Clock = {
  nowMs: () => performance.now(),
  every(ms, run) {
    const timer = setInterval(run, ms)
    return () => clearInterval(timer)
  },
}

export function createAdmissions(parts: AdmissionParts): Admissions {
  const { log, loginWaited, clock = SYSTEM_CLOCK, random = Math.random } = parts
  const gates = new Map<string, Gate>()
  let stopTicking: (() => void) | undefined
  let closed = false

  function gateOf(backend: BackendSettings): Gate {
    const known = gates.get(backend.name)
    if (known) return known
    const gate = new Gate(backend, { log, loginWaited, nowMs: clock.nowMs, random, onWait: keepTicking })
    gates.set(backend.name, gate)
    return gate
  }

  function tick(): void {
    let busy = false
    for (const gate of gates.values()) busy = gate.tick() || busy
    if (busy) return
    stopTicking?.()
    stopTicking = undefined
  }

  function keepTicking(): void {
    stopTicking ??= clock.every(TICK_MS, tick)
  }

  return {
    enter: (backend, attempt, address) => gateOf(backend).enter(attempt, address),
    async wait(backend, attempt, options) {
      if (closed) throw new MuxError('shutting-down', 'shutting down')
      return gateOf(backend).wait(attempt, options)
    },
    lost: (name, protocol) => gates.get(name)?.lost(protocol),
    recovered(name, lostForMs) {
      if (!closed && gates.get(name)?.startSlowly(lostForMs) === true) keepTicking()
    },
    configure(backends) {
      for (const [name, gate] of gates) if (!backends.has(name) && gate.isEmpty) gates.delete(name)
      for (const backend of backends.values()) gateOf(backend).configure(backend)
    },
    describe: () => [...gates.values()].map((gate) => gate.describe()),
    close() {
      closed = true
      stopTicking?.()
      stopTicking = undefined
      for (const gate of gates.values()) gate.close()
    },
  }
}
