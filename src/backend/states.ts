/** The states in effect of all back ends, from the routing file and the directory. Reports each change; what follows is for subscribers. */
import type { BackendSettings } from '../config/settings.ts'
import type { Log } from '../log.ts'
import { effectiveState, isSameState, type DirectoryState, type EffectiveState } from './state.ts'

/** @param before undefined for a back end that has just been configured */
export type StateListener = (backend: string, now: EffectiveState, before: EffectiveState | undefined) => void

export type BackendStates = {
  /** The state of a back end; undefined for a name that is not configured. */
  of(backend: string): EffectiveState | undefined
  /** Takes over the states of a new configuration. */
  configure(backends: ReadonlyMap<string, Pick<BackendSettings, 'state'>>): void
  /** Takes over the state that the directory has; undefined if it has none. */
  setFromDirectory(backend: string, state: DirectoryState | undefined): void
  /** Calls `listener` at each change from now on, and once now for each state in effect. */
  onChange(listener: StateListener): void
}

export function createBackendStates(log: Pick<Log, 'info'>): BackendStates {
  const configured = new Map<string, Pick<BackendSettings, 'state'>>()
  const fromDirectory = new Map<string, DirectoryState>()
  const inEffect = new Map<string, EffectiveState>()
  const listeners: StateListener[] = []

  function update(backend: string): void {
    const settings = configured.get(backend)
    if (!settings) return
    const before = inEffect.get(backend)
    const now = effectiveState(settings.state, fromDirectory.get(backend))
    inEffect.set(backend, now)
    if (isSameState(before, now)) return
    if (before || now.state !== 'up') {
      const { state, from, reassign } = now
      log.info({ backend, state, before: before?.state, from, ...(reassign && { reassign }) }, 'back end state')
    }
    for (const listener of listeners) listener(backend, now, before)
  }

  return {
    of: (backend) => inEffect.get(backend),
    configure(backends) {
      for (const name of configured.keys()) {
        if (backends.has(name)) continue
        configured.delete(name)
        inEffect.delete(name)
      }
      for (const [name, settings] of backends) {
        configured.set(name, settings)
        update(name)
      }
    },
    setFromDirectory(backend, state) {
      if (state) fromDirectory.set(backend, state)
      else fromDirectory.delete(backend)
      update(backend)
    },
    onChange(listener) {
      listeners.push(listener)
      for (const [backend, state] of inEffect) listener(backend, state, undefined)
    },
  }
}
