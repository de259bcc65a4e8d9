/** The world in force. It is built anew for new settings, and when the ticket keys run out, and swapped as a whole. A connection keeps the world of its acceptance. */
import type { Admissions } from './backend/admission/admission.ts'
import type { LiveBackends } from './backend/live-backends.ts'
import type { BackendStates } from './backend/states.ts'
import type { Settings } from './config/settings.ts'
import type { Directory } from './directory/directory.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { Capacity } from './resources/descriptors.ts'
import { createRefusalNotes } from './routing/refusal-notes.ts'
import { version } from './version.ts'
import { buildWorld, type World } from './world.ts'

/** How soon after midnight, or after a step of the clock, other ticket keys hold. */
const ROTATION_CHECK_MS = 10_000

export type WorldSources = {
  ticketSecret: string
  directory: Directory | undefined
  backends: LiveBackends
  states: BackendStates
  admissions: Admissions
  capacity: Capacity
  log: Log
  metrics: Metrics
}

/** The first is built at once. `close` ends the watch of the keys. */
export function createWorlds(first: Settings, sources: WorldSources) {
  const { ticketSecret, directory, backends, states, admissions, capacity, log, metrics } = sources
  const noteRefusal = createRefusalNotes(log, metrics.routeRefused, () => performance.now())
  let current: World

  function enter(settings: Settings): void {
    const mayTake = (name: string): boolean => states.of(name)?.state === 'up' && backends.get(name)?.isUp() === true
    // A pause is short: the first login of a new user waits for the store that it is placed on.
    const isUp = (name: string): boolean => states.of(name)?.state === 'pause' || mayTake(name)
    const reassigning = { isOrdered: (name: string): boolean => states.of(name)?.reassign === true, mayTake }
    current = buildWorld({
      settings,
      directory,
      noteRefusal,
      isUp,
      reassigning,
      version,
      ticketSecret,
      nowMs: Date.now(),
    })
    backends.reconcile(settings.routing)
    admissions.configure(settings.routing.backends)
    states.configure(settings.routing.backends)
    capacity.configure(settings)
    metrics.worldEntered(current.certificates.expiries)
  }

  // The keys are those of a day by the wall clock, which may step, or go on while the machine is suspended.
  const rotation = setInterval(() => {
    if (!current.certificates.areKeysOf(Date.now())) enter(current.settings)
  }, ROTATION_CHECK_MS)
  rotation.unref()
  enter(first)
  return {
    current: () => current,
    enter,
    close: () => clearInterval(rotation),
  }
}
