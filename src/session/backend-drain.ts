/**
 * Ends the running sessions of a back end whose state is `drain`, over a window of time. When the state changes back, the sessions
 * whose turn has not come stay.
 */
import { gradualMs, type Spreadable, type SpreadOrder } from './spread.ts'

/** The part of a session that is needed. */
export type DrainableSession = Spreadable & {
  /** undefined before the session relays */
  readonly relay: object | undefined
  readonly login: { readonly backend: string | undefined } | undefined
}

export type BackendDrainParts<S extends DrainableSession> = {
  running: () => Iterable<S>
  /** ends these sessions over a window */
  endOver: (sessions: readonly S[], order: SpreadOrder) => void
  /** takes back the orders that match and whose turn has not come */
  takeBack: (isMeant: (session: S, order: SpreadOrder) => boolean) => void
  /** from the turn of a session to its cut, if it comes to no safe point */
  endTimeoutMs: () => number
}

export type BackendDrain = {
  /** The state of a back end has changed. @param overMs the window of a drain; undefined: the default */
  changed(backend: string, state: string, overMs: number | undefined): void
  close(): void
}

/** How often sessions are looked for whose login was under way when the drain began. Waiting logins do not become sessions meanwhile. */
const LOOK_EVERY_MS = 1000

export function createBackendDrain<S extends DrainableSession>({
  running,
  endOver,
  takeBack,
  endTimeoutMs,
}: BackendDrainParts<S>): BackendDrain {
  const drains = new Map<string, { overMs: number | undefined; ordered: WeakSet<S> }>()
  let looking: NodeJS.Timeout | undefined

  function order(backend: string): void {
    const drain = drains.get(backend)
    if (!drain) return
    const found: S[] = []
    for (const session of running()) {
      if (session.relay === undefined || session.login?.backend !== backend || drain.ordered.has(session)) continue
      drain.ordered.add(session)
      found.push(session)
    }
    if (found.length === 0) return
    const overMs = drain.overMs ?? gradualMs(found.length)
    endOver(found, { why: 'drained', overMs, withinMs: endTimeoutMs() })
  }

  function stop(): void {
    clearInterval(looking)
    looking = undefined
  }

  return {
    changed(backend, state, overMs) {
      if (drains.delete(backend)) {
        takeBack(({ login }, { why }) => why === 'drained' && login?.backend === backend)
      }
      if (state === 'drain') {
        drains.set(backend, { overMs, ordered: new WeakSet() })
        order(backend)
        looking ??= setInterval(() => {
          for (const name of drains.keys()) order(name)
        }, LOOK_EVERY_MS).unref()
      } else if (drains.size === 0) stop()
    },
    close: stop,
  }
}
