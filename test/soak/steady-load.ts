/** Keeps a steady load up: so many visits of each kind a second, whatever becomes of those before them. */
import { setTimeout as pass } from 'node:timers/promises'
import { within } from '../support/deadline.ts'
import type { SteadySite } from './steady-site.ts'
import { type Kind, KINDS, type Visit } from './steady-visits.ts'

/** Users of the sink whose route in Redis changes. */
export const MOVES_PER_SECOND = 5
/** The longest visits last a minute. One that takes this long hangs. */
const VISIT_DEADLINE_MS = 120_000
/** Often enough that visits do not come in crowds. */
const STEP_MS = 5
/** A load that is further behind than this is not steady: what it owes is left out, and counted, so that it does not come at once. */
const MOST_OWED_S = 1

/** Three times as many visits as are under way when all is well. Who would come then is left out: what is that late is not steady any more. */
const MOST_AT_ONCE = 1000

export type Load = {
  /** visits by their kind */
  begun: ReadonlyMap<string, number>
  /** that could not be begun in time */
  leftOut: () => number
  /** what visitors met that they should not have, and how often */
  problems: ReadonlyMap<string, number>
  /** Begins no more, and waits for those who are still there. */
  end: () => Promise<void>
}

type Course = { kind: Kind; owed: number }

/** @param stayMs how long those stay who come to stay */
export function startLoad(site: SteadySite, stayMs: number, random: () => number): Load {
  const over = new AbortController()
  const visit: Visit = { doors: site.doors, random, stayMs, over: over.signal }
  const begun = new Map<string, number>(KINDS.map(({ name }) => [name, 0]))
  const under = new Set<Promise<void>>()
  const problems = new Map<string, number>()
  let leftOut = 0

  const begin = (kind: Kind): void => {
    if (under.size >= MOST_AT_ONCE) {
      leftOut++
      return
    }
    begun.set(kind.name, (begun.get(kind.name) ?? 0) + 1)
    const visited = within(VISIT_DEADLINE_MS, kind.visit(visit), () => 'a visit hangs').catch((error: unknown) => {
      const problem = `${kind.name}: ${String(error)}`
      problems.set(problem, (problems.get(problem) ?? 0) + 1)
    })
    under.add(visited)
    void visited.then(() => under.delete(visited))
  }
  const goOn = async (): Promise<void> => {
    // each kind by its own clock, which begins anywhere within its first visit's time
    const courses: Course[] = KINDS.map((kind) => ({ kind, owed: random() }))
    let movesOwed = 0
    for (let last = performance.now(); !over.signal.aborted;) {
      await pass(STEP_MS)
      const now = performance.now()
      const seconds = (now - last) / 1000
      last = now
      for (const course of courses) {
        course.owed += course.kind.perSecond * seconds
        const most = Math.max(1, course.kind.perSecond * MOST_OWED_S)
        if (course.owed > most + 1) {
          leftOut += Math.floor(course.owed - most)
          course.owed = most
        }
        for (; course.owed >= 1; course.owed--) begin(course.kind)
      }
      movesOwed += MOVES_PER_SECOND * seconds
      site.moveUsers(Math.floor(movesOwed), random)
      movesOwed %= 1
    }
  }
  const going = goOn()
  return {
    begun,
    leftOut: () => leftOut,
    problems,
    end: async () => {
      over.abort()
      await going
      await Promise.all(under)
    },
  }
}
