/** Users whom mailmux places, and no operator moves: they come and go, and each is at one store for ever. */
import { setTimeout as pass } from 'node:timers/promises'
import { logInOnce, type LoginTally } from './chaos-login.ts'
import { calmMs, type Trouble } from './chaos-routes.ts'
import { BACKEND_TIMEOUT_MS, type ChaosSite } from './chaos-site.ts'
import { until } from './deadline.ts'
import { markerMessage, markerSubject } from './dovecot.ts'
import type { MailClient } from './mail-client.ts'
import type { Mailmux } from './mailmux.ts'
import { between, createRandom, pick } from './random.ts'
import { openVisit } from './scene.ts'
import { STORES, type StoreName } from './site.ts'

/** Of so many visits one is a new user's first, on both instances at the same time: when two might choose a store for him. */
const NEW_USER_EVERY = 4
const MOST_STAY_MS = 2_000
const MOST_PAUSE_MS = 1_000
/** mailmux's own limit for the back end, its two questions to Redis, and a machine with more to do than this. */
const ANSWER_MS = BACKEND_TIMEOUT_MS + 7_000
/** When all is well again: Dovecot starts, and mailmux finds out. */
const RECOVERY_MS = 60_000
/** Last logins at a time. */
const AT_ONCE = 10

export type Guests = ReturnType<typeof createGuests>

/**
 * Those who log in, and what they were told.
 * @param waits times in which logins may wait for the state of a back end, counted from `startMs`
 */
export function createGuests(site: ChaosSite, waits: () => readonly Trouble[], startMs: number) {
  const users: string[] = []
  const accepted = new Map<string, number>()
  /** where each user has found the message that waits there */
  const landed = new Map<string, Set<StoreName>>()
  const problems: string[] = []
  const count = { logins: 0, accepted: 0, unavailable: 0, lookedAround: 0, slowestAnswerMs: 0 }

  const tally: LoginTally = {
    accepted,
    count,
    answered(user, sentMs) {
      const fromMs = sentMs - startMs
      const tookMs = calmMs(fromMs, performance.now() - startMs, waits(), [...STORES, 'redis'], 0)
      if (tookMs > ANSWER_MS) problems.push(`${user} was answered after ${Math.round(tookMs)} ms`)
    },
  }

  /** The store may die meanwhile, and the session with it: then it is not known where the session was. */
  async function lookAround(user: string, client: MailClient): Promise<void> {
    const subjects = await client.subjects().catch((): string[] => [])
    const store = STORES.find((name) => subjects.includes(markerSubject(name, user)))
    if (store === undefined) return
    count.lookedAround++
    const known = landed.get(user) ?? new Set()
    landed.set(user, known.add(store))
    if (known.size > 1) problems.push(`${user} has found himself on ${[...known].join(' and ')}`)
  }

  return {
    users,
    accepted,
    problems,
    count,
    /** A new user, for whom a message waits on each store. */
    async enrol(): Promise<string> {
      const user = `guest${users.length + 1}@example.test`
      users.push(user)
      await Promise.all(STORES.map((name) => site.stores[name].deliver(user, markerMessage(name, user))))
      return user
    },
    /** Logs in, looks where he is, does `stay` when that was possible, and leaves. Gives whether it was. */
    async visit(user: string, mailmux: Mailmux, random: () => number, stay: (client: MailClient) => Promise<void>) {
      const scene = openVisit(site.scene)
      try {
        const client = await logInOnce(scene, user, mailmux, random, tally)
        if (client === undefined) return false
        await lookAround(user, client)
        await stay(client)
        return true
      } catch (error) {
        problems.push(`${user} ${error instanceof Error ? error.message : String(error)}`)
        return false
      } finally {
        await scene.close()
      }
    },
  }
}

/** One visitor, being one user after the other. */
export async function comeAndGo(site: ChaosSite, guests: Guests, random: () => number, end: number): Promise<void> {
  const stay = async (client: MailClient): Promise<void> => {
    await pass(between(random, 0, MOST_STAY_MS))
    // The store may have died meanwhile, and the session with it; the others just go away.
    if (random() < 0.5) await client.quit().catch(() => undefined)
  }
  while (performance.now() < end) {
    const isNew = guests.users.length === 0 || random() < 1 / NEW_USER_EVERY
    if (isNew) {
      const user = await guests.enrol()
      await Promise.all(site.instances.map((mailmux) => guests.visit(user, mailmux, random, stay)))
    } else {
      await guests.visit(pick(random, guests.users), pick(random, site.instances), random, stay)
    }
    await pass(between(random, 0, MOST_PAUSE_MS))
  }
}

/** In the end each user gets in by both instances; that it is the same store, the record says. */
export async function everybodyGetsIn(site: ChaosSite, guests: Guests): Promise<void> {
  const random = createRandom(0)
  const waiting = [...guests.users]
  const next = async (): Promise<void> => {
    for (let user = waiting.pop(); user !== undefined; user = waiting.pop()) {
      for (const mailmux of site.instances) {
        await until(
          RECOVERY_MS,
          async () => (await guests.visit(user, mailmux, random, (client) => client.quit())) || undefined,
          () => `${user} does not get in`,
        )
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
}
