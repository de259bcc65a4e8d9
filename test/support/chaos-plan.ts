/** What is done to whom, and when: drawn from a seed before the run begins, so that it can be printed and had again. */
import { between, createRandom, pick } from './random.ts'
import { STORES, type StoreName } from './site.ts'

export type Target = StoreName | 'redis'

/**
 * `kill`: it dies at once, as when the machine loses its power. `stop`: it is taken down in good order. `hang`: it keeps its connections and
 * answers nothing. `slow`: it runs a tenth of the time.
 */
export type Harm = 'kill' | 'stop' | 'hang' | 'slow'

export type Blow = { atMs: number; forMs: number; target: Target; harm: Harm }

const HARMS: readonly Harm[] = ['kill', 'stop', 'hang', 'slow']

/** Two blows are this far apart for one target: time to start, and to be found well again. */
const LEAST_QUIET_MS = 2_000
const MOST_QUIET_MS = 8_000
/** Short ones hit logins half-way; long ones outlast every time limit of mailmux. */
const LEAST_HARM_MS = 300
const MOST_HARM_MS = 6_000

/** Blows for `ms`, in the order of their beginning. Targets suffer independently of each other, so all may be down at once. */
export function planChaos(seed: number, ms: number): Blow[] {
  const random = createRandom(seed)
  const blows: Blow[] = []
  for (const target of [...STORES, 'redis'] as const) {
    for (let at = between(random, 500, MOST_QUIET_MS); ;) {
      const forMs = between(random, LEAST_HARM_MS, MOST_HARM_MS)
      if (at + forMs > ms) break
      blows.push({ atMs: at, forMs, target, harm: pick(random, HARMS) })
      at += forMs + between(random, LEAST_QUIET_MS, MOST_QUIET_MS)
    }
  }
  return blows.toSorted((a, b) => a.atMs - b.atMs)
}

/** One line a blow. */
export function describePlan(blows: readonly Blow[]): string {
  return blows
    .map(({ atMs, forMs, target, harm }) => `${String(atMs).padStart(7)} ms: ${harm} ${target} for ${forMs} ms`)
    .join('\n')
}
