/**
 * Admission of logins to back ends. The gate of a back end limits its sessions, the logins under way and the logins per second. After
 * an outage the limits are lower at first (slow start). A login that reaches a limit waits in a bounded queue for a bounded time, and
 * is refused after that. The gates outlive worlds: a reload changes their limits and keeps their queues.
 */
import type { BackendSettings, BackendState, ProtocolName } from '../../config/settings.ts'
import { hasCode, MuxError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { Gate } from './gate.ts'
import type { GateFacts, GateParts, GateUse, LeasedLimits } from './gate-parts.ts'
import { HoldLine } from './hold-line.ts'
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
   * @param isKnown as that of `WaitOptions`
   */
  enter(backend: BackendSettings, attempt: number, address?: string, isKnown?: boolean): Slot | undefined
  /** Resolves with a slot within the wait limit. @throws MuxError `backend-busy`, `backend-down`, `shutting-down`, or the reason of the signal */
  wait(backend: BackendSettings, attempt: number, options: WaitOptions): Promise<Slot>
  /** The back end is down for this protocol: the waits for it end. */
  lost: (name: string, protocol: ProtocolName) => void
  /** The back end is up again after `lostForMs`: its slow start begins. */
  recovered: (name: string, lostForMs: number) => void
  /** Applies the limits of a new configuration. */
  configure(backends: ReadonlyMap<string, BackendSettings>): void
  /** Whether a login may take a slot at once or in the queue: no login waits because of the state of the back end. */
  isOpen(backend: string): boolean
  /** Logins wait while the state is `pause` or `drain`. The waits end with `down`; with `up` the logins enter in order. */
  setState(backend: string, state: BackendState): void
  /** Takes over the leased limits of the back ends that are named. The others keep theirs. @returns what is used of each */
  lease(limits: ReadonlyMap<string, LeasedLimits>): Map<string, GateUse>
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
  /** given if the limits are leased */
  onShort?: GateParts['onShort']
}

export const SYSTEM_CLOCK: Clock = {
  nowMs: () => performance.now(),
  every(ms, run) {
    const timer = setInterval(run, ms)
    return () => clearInterval(timer)
  },
}

export function createAdmissions(parts: AdmissionParts): Admissions {
  const { log, loginWaited, clock = SYSTEM_CLOCK, random = Math.random, onShort } = parts
  const doors = new Map<string, Door>()
  let stopTicking: (() => void) | undefined
  let closed = false

  function doorOf(backend: BackendSettings): Door {
    const known = doors.get(backend.name)
    if (known) return known
    const shared = { loginWaited, nowMs: clock.nowMs, random, onWait: keepTicking }
    const door = { gate: new Gate(backend, { log, onShort, ...shared }), line: new HoldLine(backend.name, shared) }
    doors.set(backend.name, door)
    return door
  }

  function tick(): void {
    let busy = false
    for (const { gate, line } of doors.values()) {
      const isWaiting = line.tick((address, isKnown) => gate.enter(1, address, isKnown))
      busy = gate.tick() || isWaiting || busy
    }
    if (busy) return
    stopTicking?.()
    stopTicking = undefined
  }

  function keepTicking(): void {
    if (!closed) stopTicking ??= clock.every(TICK_MS, tick)
  }

  return {
    enter(backend, attempt, address, isKnown) {
      const { gate, line } = doorOf(backend)
      return line.isHolding ? undefined : gate.enter(attempt, address, isKnown)
    },
    async wait(backend, attempt, options) {
      const { gate, line } = doorOf(backend)
      for (;;) {
        if (closed) throw new MuxError('shutting-down', 'shutting down')
        if (line.isHolding) return line.wait(options, backend.limits)
        try {
          return await gate.wait(attempt, options)
        } catch (error) {
          if (!hasCode(error, 'backend-paused')) throw error
        }
      }
    },
    lost(name, protocol) {
      const error = new MuxError('backend-down', `${name} went down while the login waited for its turn`)
      doors.get(name)?.gate.endWaits('backend-down', error, (waiter) => waiter.protocol === protocol)
    },
    recovered(name, lostForMs) {
      if (doors.get(name)?.gate.startSlowly(lostForMs) === true) keepTicking()
    },
    configure(backends) {
      for (const [name, { gate, line }] of doors)
        if (!backends.has(name) && gate.isEmpty && line.size === 0) doors.delete(name)
      for (const backend of backends.values()) doorOf(backend).gate.configure(backend)
    },
    isOpen: (name) => doors.get(name)?.line.isHolding !== true,
    setState(name, state) {
      const door = doors.get(name)
      if (!door) return
      const { gate, line } = door
      if (state === 'pause' || state === 'drain') {
        line.hold(state)
        // An exchange that has begun goes on: its back end waits for it.
        const error = new MuxError('backend-paused', `${name} was paused`)
        gate.endWaits('paused', error, ({ paused }) => !paused)
        return
      }
      const heldMs = line.release()
      if (state === 'down') {
        const error = new MuxError('backend-down', `the state of back end ${name} is down`)
        line.endWaits('backend-down', error)
        gate.endWaits('backend-down', error)
        return
      }
      // The logins of the pause would otherwise arrive as one wave at a store that has just started.
      if (heldMs !== undefined && line.size > 0) gate.startSlowly(heldMs)
      if (line.size > 0) keepTicking()
    },
    lease(limits) {
      const uses = new Map<string, GateUse>()
      for (const [name, { gate }] of doors) {
        const leased = limits.get(name)
        if (leased) gate.lease(leased)
        uses.set(name, gate.use)
      }
      return uses
    },
    describe: () =>
      [...doors.values()].map(({ gate, line }) => {
        const facts = gate.describe()
        return { ...facts, waiting: facts.waiting + line.size }
      }),
    close() {
      closed = true
      stopTicking?.()
      stopTicking = undefined
      for (const { gate, line } of doors.values()) {
        gate.close()
        line.endWaits('shutting-down', new MuxError('shutting-down', 'shutting down'))
      }
    },
  }
}

/** What the logins of one back end pass: the line of a pause, then the gate. */
type Door = { gate: Gate; line: HoldLine }
