/**
 * Who may go to a back end now. Each back end has a gate: so many sessions, so many logins under way, so many a second, and after it
 * was away fewer of each at first. Who comes to a closed gate waits in order, for a bounded time and in a bounded line, and is only
 * then refused. Outlives worlds: a reload changes the limits of a gate and loses nobody's place.
 */
import type { BackendSettings, ProtocolName } from '../../config/settings.ts'
import { MuxError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { Gate, type GateFacts, type GateParts } from './gate.ts'
import type { Slot } from './slot.ts'
import type { WaitOptions } from './wait.ts'

/** How often the gates are looked after while somebody waits: a person notices tenths of a second. One timer for all of them. */
const TICK_MS = 50

export type Clock = {
  nowMs: () => number
  /** @returns stops it */
  every(ms: number, run: () => void): () => void
}

export type Admissions = {
  /**
   * A slot at once where no limit is reached and nobody waits; undefined where the caller has to `wait` for one.
   * @param attempt which one of its login, from 1: a login that has been let in before goes ahead of those that have not
   * @param address the client's, which has a share of the logins; undefined where no client has an address
   */
  enter(backend: BackendSettings, attempt: number, address?: string): Slot | undefined
  /** A slot in good time. @throws MuxError `backend-busy`, `backend-down`, `shutting-down`, or the reason of the signal */
  wait(backend: BackendSettings, attempt: number, options: WaitOptions): Promise<Slot>
  /** The back end can no longer be reached by this protocol: ends the waits that are for it. */
  lost: (name: string, protocol: ProtocolName) => void
  /** The back end was lost for so long and is back: it is given little at first. */
  recovered: (name: string, lostForMs: number) => void
  /** Takes over the limits of a new configuration. */
  configure(backends: ReadonlyMap<string, BackendSettings>): void
  /** What is going on at each gate. */
  describe: () => GateFacts[]
  /** Ends every wait, and each later one at once; slots that are taken stay so. */
  close(): void
}

export type AdmissionParts = {
  log: Log
  /** told of the end of each wait, and of the limit that made it necessary */
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
