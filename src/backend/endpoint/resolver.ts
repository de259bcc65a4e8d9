/** Keeps the names of one back end looked up, in the background: no login waits for DNS once an address is known. */
import type { BackendSettings } from '../../config/settings.ts'
import { isShortage, type NoteShortage } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { lookUp, NOTHING_KNOWN, type Known } from './addresses.ts'
import type { Lookup } from './lookup.ts'

/** While no address is found, a login starts a lookup again, at most one in this time. */
const LEAST_BETWEEN_MS = 1000

/** The resolver itself does not answer: codes of getaddrinfo and of c-ares. That there is no such name is an answer. */
const RESOLVER_AWAY = new Set(['EAI_AGAIN', 'ETIMEOUT', 'ESERVFAIL', 'ECONNREFUSED'])
/** The pause doubles up to this: 30 seconds after the resolver is back at the latest, every name is asked for. */
const MOST_AGAIN_MS = 30_000

export type Resolver = {
  /** Asks now, unless it has just done so; several that wait wait for one answer. Never rejects. */
  refresh(): Promise<void>
  /** when it will ask again by itself, on the clock of `nowMs` */
  dueMs(): number
  /** the last failure, for people */
  failure(): string | undefined
  /** the last lookup failed for want of a descriptor or the like on this machine */
  lacksResources(): boolean
  close(): void
}

export type ResolverParts = {
  settings: BackendSettings
  lookup: Lookup
  log: Log
  noteShortage: NoteShortage
  /** a monotonic clock: the wall clock may step backward, and no lookup would follow */
  nowMs: () => number
  onKnown: (known: Known) => void
}

/** Begins at once. */
export function openResolver({ settings, lookup, log, noteShortage, nowMs, onKnown }: ResolverParts): Resolver {
  let known = NOTHING_KNOWN
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined
  let isClosed = false
  let [askedMs, dueMs] = [-Infinity, nowMs()]
  let causes = new Map<string, string>()
  /** rounds in a row in which the resolver did not answer */
  let awayRounds = 0

  async function ask(): Promise<void> {
    const { known: next, ttlMs, failures } = await lookUp(settings, lookup, known)
    if (isClosed) return
    const backend = settings.name
    for (const { name, cause } of failures) {
      if (isShortage(cause)) noteShortage('lookup', `name ${name} of back end ${backend}: ${cause}`)
      else if (causes.get(name) !== cause) log.warn({ backend, name, cause }, 'back end name not found')
    }
    for (const [name, cause] of causes) {
      if (isShortage(cause) || failures.some((failure) => failure.name === name)) continue
      log.info({ backend, name }, 'back end name found again')
    }
    causes = new Map(failures.map(({ name, cause }) => [name, cause]))
    known = next
    onKnown(known)
    awayRounds = failures.some(({ cause }) => RESOLVER_AWAY.has(cause)) ? awayRounds + 1 : 0
    const pauseMs = awayRounds === 0 ? ttlMs : Math.min(ttlMs * 2 ** (awayRounds - 1), MOST_AGAIN_MS)
    askedMs = nowMs()
    dueMs = askedMs + pauseMs
    timer = setTimeout(() => void run(), pauseMs)
    timer.unref()
  }

  /** Logins may ask before the time, but not a resolver that does not answer: each question holds it up for all others. */
  async function refresh(): Promise<void> {
    if (running) return running
    const isTooSoon = awayRounds === 0 ? nowMs() - askedMs < LEAST_BETWEEN_MS : nowMs() < dueMs
    if (!isClosed && !isTooSoon) await run()
  }

  async function run(): Promise<void> {
    clearTimeout(timer)
    running = ask()
    try {
      await running
    } finally {
      running = undefined
    }
  }

  void run()
  return {
    refresh,
    dueMs: () => dueMs,
    failure: () => [...causes].map(([name, cause]) => `${name} ${cause}`).join(', ') || undefined,
    lacksResources: () => [...causes.values()].some(isShortage),
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
