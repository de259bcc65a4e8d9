/** Gates on a clock that is moved by hand. */
import { createAdmissions } from '../../../src/backend/admission/admission.ts'
import type { Slot } from '../../../src/backend/admission/slot.ts'
import type { BackendLimits, BackendSettings, ProtocolName } from '../../../src/config/settings.ts'
import { backendSettings, keepLog } from './fixture.ts'

export type Wait = { backend: string; limit: string; outcome: string; ms: number }

/** Each has an address of its own where none is given. */
type Coming = {
  attempt?: number
  waitMs?: number
  holdMs?: number
  protocol?: ProtocolName
  address?: string
  isKnown?: boolean
}

type Comer = { slot: Promise<Slot>; leave: (why?: Error) => void; reassured: () => number }

/** Admissions, and one back end `store-1` with these limits. `random` 0: no wait is cut short. */
export function openGates({
  limits = {},
  slowStartMs = 10_000,
  onShort,
}: { limits?: Partial<BackendLimits>; slowStartMs?: number; onShort?: () => void } = {}) {
  const { log, lines } = keepLog()
  const waits: Wait[] = []
  const clock = { ms: 1000, run: undefined as (() => void) | undefined, every: 0 }
  let random = 0
  let comers = 0
  const admissions = createAdmissions({
    log,
    loginWaited: (backend, limit, outcome, ms) => void waits.push({ backend, limit, outcome, ms }),
    clock: {
      nowMs: () => clock.ms,
      every(ms, run) {
        clock.every = ms
        clock.run = run
        return () => (clock.run = undefined)
      },
    },
    random: () => random,
    onShort,
  })
  const settings = (changes: Partial<BackendLimits> = {}): BackendSettings => {
    const plain = backendSettings({ slowStartMs })
    return { ...plain, limits: { ...plain.limits, ...limits, ...changes } }
  }
  const backend = settings()
  admissions.configure(new Map([[backend.name, backend]]))

  return {
    admissions,
    backend,
    settings,
    lines,
    waits,
    setRandom: (value: number) => (random = value),
    nowMs: () => clock.ms,
    isTicking: () => clock.run !== undefined,
    /** Lets time pass, with a tick of the shared timer wherever one is due. */
    pass(ms: number) {
      for (const end = clock.ms + ms; clock.ms < end;) {
        clock.ms = Math.min(end, clock.ms + (clock.run ? clock.every : ms))
        clock.run?.()
      }
    },
    /** A client that takes a slot, or waits for one. */
    come({
      attempt = 1,
      waitMs = 20_000,
      holdMs = 45_000,
      protocol = 'imap',
      address = `client-${comers++}`,
      isKnown = false,
    }: Coming = {}): Comer {
      const left = new AbortController()
      let reassured = 0
      const options = {
        protocol,
        address,
        isKnown,
        untilMs: clock.ms + waitMs,
        holdUntilMs: clock.ms + holdMs,
        signal: left.signal,
        stillWaiting: () => {
          reassured++
        },
      }
      const entered = admissions.enter(backend, attempt, address, isKnown)
      const slot = entered ? Promise.resolve(entered) : admissions.wait(backend, attempt, options)
      slot.catch(() => undefined)
      return { slot, leave: (why = new Error('left')) => left.abort(why), reassured: () => reassured }
    },
    facts: () => admissions.describe().find(({ backend: name }) => name === backend.name),
  }
}

/** What became of a slot by now: `waiting`, `in`, or the code of the error. */
export async function stateOf(slot: Promise<Slot>): Promise<string> {
  const settled = slot.then(
    () => 'in',
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
  )
  return Promise.race([settled, new Promise<string>((resolve) => setImmediate(() => resolve('waiting')))])
}

export async function statesOf(comers: readonly { slot: Promise<Slot> }[]): Promise<string[]> {
  return Promise.all(comers.map(({ slot }) => stateOf(slot)))
}
