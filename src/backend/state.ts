/** The state of a back end that is in effect, of the two places where an operator can set it. Pure. */
import type { BackendState } from '../config/settings.ts'

/** A state that the directory has for a back end. */
export type DirectoryState = {
  state: BackendState
  /** the duration over which a drain is spread; undefined: the default of a drain */
  overMs: number | undefined
  /** of a drain alone: its users get another back end by placement at their next login; absent: their logins wait */
  reassign?: true
}

export type EffectiveState = DirectoryState & { from: 'routing' | 'directory' }

/** The directory takes precedence: it is the place that all instances share, and it changes without a reload. */
export function effectiveState(routing: BackendState, directory: DirectoryState | undefined): EffectiveState {
  return directory ? { ...directory, from: 'directory' } : { state: routing, overMs: undefined, from: 'routing' }
}

export function isSameState(a: EffectiveState | undefined, b: EffectiveState): boolean {
  return a?.state === b.state && a.overMs === b.overMs && a.reassign === b.reassign
}
