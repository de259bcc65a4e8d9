/** The states of back ends in Redis: one hash for each back end that an operator has given a state there. */
import type { BackendState } from '../../config/settings.ts'
import { readDuration } from '../../duration.ts'

/**
 * `overMs`: the time over which a drain is spread; undefined: the default. `reassign`, of a drain alone: its users get another back end by
 * placement; absent: they wait.
 */
export type StoredState = { state: BackendState; overMs: number | undefined; reassign?: true }

const STATES: readonly string[] = ['up', 'drain', 'pause', 'down'] satisfies BackendState[]
/** A drain takes its place in the night, or over a weekend. */
const MAX_OVER_MS = 7 * 24 * 3_600_000

export const BACKEND_STATE_FIELDS = ['state', 'over', 'reassign'] as const

export function backendKey(prefix: string, backend: string): string {
  return `${prefix}backend:${backend}`
}

/**
 * @param fields those of `BACKEND_STATE_FIELDS`, from another program and therefore untrusted
 * @returns undefined without a state; or what is wrong
 */
export function readStoredState([state = null, over = null, reassign = null]: readonly (string | null)[]):
  StoredState | { wrong: string } | undefined {
  if (state === null) {
    if (over === null && reassign === null) return undefined
    return { wrong: `the field "${over === null ? 'reassign' : 'over'}" without the field "state"` }
  }
  if (!isState(state)) return { wrong: `the state ${quote(state)} is none of ${STATES.join(', ')}` }
  const overMs = over === null ? undefined : readDuration(over)
  if (over !== null && (overMs === undefined || overMs > MAX_OVER_MS))
    return { wrong: `the value ${quote(over)} of "over" is no duration up to 168h, such as 30s, 10m or 2h` }
  // An operator may set another state by HSET and leave the other fields of a drain.
  if (state !== 'drain' || reassign === null || reassign === '0') return { state, overMs }
  if (reassign !== '1') return { wrong: `the value ${quote(reassign)} of "reassign" is neither 1 nor 0` }
  return { state, overMs, reassign: true }
}

function isState(text: string): text is BackendState {
  return STATES.includes(text)
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 40))
