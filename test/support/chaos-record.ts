/** What the stores saw, and what must not be in it. Pure: it reads lines and compares times. */

/** A user connected to a store, by the store's own account. */
export type Visit = {
  user: string
  store: string
  fromMs: number
  /** undefined: has not ended */
  toMs: number | undefined
}

export type VisitRecord = {
  /** A line of the store's log, as it comes. */
  hear: (store: string, line: string) => void
  /** The store is dead, and nobody is connected to it any more. */
  died: (store: string) => void
  visits: () => readonly Visit[]
}

/**
 * Dovecot's session processes say both with `mail_debug = yes`: the first line before the client hears OK, so that no login can be
 * answered unseen; the second when it is over. What does not match is not theirs.
 */
const SESSION_LINE =
  /\b(?:imap|pop3)\(([^)]+)\)<(\d+)><([^>]+)>: (?:(Debug: Effective uid=)|Debug: User session is finished)/

/** @param nowMs times are when a line is heard: a hung store speaks late, so they are good to some milliseconds and no better */
export function createVisitRecord(nowMs: () => number): VisitRecord {
  const visits: Visit[] = []
  const open = new Map<string, Visit>()
  return {
    hear(store, line) {
      const [, user, pid, session, began] = SESSION_LINE.exec(line) ?? []
      if (user === undefined) return
      const key = `${store} ${pid ?? ''} ${session ?? ''}`
      const known = open.get(key)
      if (began === undefined) {
        if (known) known.toMs = nowMs()
        open.delete(key)
      } else if (!known) {
        const visit: Visit = { user, store, fromMs: nowMs(), toMs: undefined }
        visits.push(visit)
        open.set(key, visit)
      }
    },
    died(store) {
      for (const [key, visit] of open) {
        if (visit.store !== store) continue
        visit.toMs = nowMs()
        open.delete(key)
      }
    },
    visits: () => visits,
  }
}

/** Users who were connected to two stores at once, each pair of visits a sentence. */
export function findOverlaps(visits: readonly Visit[]): string[] {
  const found: string[] = []
  for (const [user, theirs] of byUser(visits)) {
    let running: Visit[] = []
    for (const visit of theirs.toSorted((a, b) => a.fromMs - b.fromMs)) {
      running = running.filter(({ toMs = Infinity }) => toMs > visit.fromMs)
      const other = running.find(({ store }) => store !== visit.store)
      if (other) found.push(`${user} was connected to two stores at once: ${describe(other)} and ${describe(visit)}`)
      running.push(visit)
    }
  }
  return found
}

/**
 * Users who were carried to more than one store: where nobody moves, even one after the other is once too often. A store may have seen
 * more than clients were told OK: a new user whom it has let in is told to come back where Redis does not confirm the place in time, and may be
 * placed anew. So many visits, and no more, may be to another store than the others.
 * @param accepted how often each user was told OK
 */
export function findWanderers(visits: readonly Visit[], accepted: ReadonlyMap<string, number>): string[] {
  const found: string[] = []
  for (const [user, theirs] of byUser(visits)) {
    const unconfirmed = theirs.length - (accepted.get(user) ?? 0)
    if (countAstray(theirs) > unconfirmed) {
      found.push(`${user} was carried to more than one store: ${theirs.map(describe).join(', ')}`)
    }
  }
  return found
}

/** Visits that no client was told of, to a store that is not the user's in the end. */
export function countGhosts(visits: readonly Visit[]): number {
  return [...byUser(visits).values()].reduce((sum, theirs) => sum + countAstray(theirs), 0)
}

/** Those to other stores than the one with the most. */
function countAstray(visits: readonly Visit[]): number {
  const byStore = [...Map.groupBy(visits, ({ store }) => store).values()]
  return visits.length - Math.max(...byStore.map(({ length }) => length))
}

/**
 * Logins that a client was told of and no store was: a record with holes in it proves nothing.
 * @param accepted how often each user was told OK
 */
export function findUnseen(visits: readonly Visit[], accepted: ReadonlyMap<string, number>): string[] {
  const seen = byUser(visits)
  return [...accepted].flatMap(([user, times]) => {
    const count = seen.get(user)?.length ?? 0
    return count < times ? [`${user} was told OK ${times} times, and the stores saw ${count}`] : []
  })
}

function byUser(visits: readonly Visit[]): Map<string, Visit[]> {
  return Map.groupBy(visits, ({ user }) => user)
}

function describe({ store, fromMs, toMs }: Visit): string {
  return `${store} from ${Math.round(fromMs)} to ${toMs === undefined ? 'the end' : Math.round(toMs)} ms`
}
