/**
 * The chaos property: random users log in on two mailmux while stores and Redis die, hang and come back, and no user is ever connected
 * to two stores at once. What counts is what the stores saw, not what mailmux says of itself.
 */
import { setTimeout as pass } from 'node:timers/promises'
import { type Blow, describePlan, planChaos } from './chaos-plan.ts'
import {
  countGhosts,
  createVisitRecord,
  findOverlaps,
  findUnseen,
  findWanderers,
  type VisitRecord,
} from './chaos-record.ts'
import { BACKEND_TIMEOUT_MS, type ChaosSite, startChaosSite } from './chaos-site.ts'
import { until, within } from './deadline.ts'
import { markerMessage, markerSubject } from './dovecot.ts'
import { type MailClient, openMailClient } from './mail-client.ts'
import type { Mailmux } from './mailmux.ts'
import { between, createRandom, pick } from './random.ts'
import type { Scene } from './scene.ts'
import { PASSWORD, STORES, type StoreName } from './site.ts'

/** Visitors at a time: two cores carry them, and Dovecot's process for each, beside other tests. */
const VISITORS = 10
/** Of so many visits one is a new user's first, on both instances at the same time: when two might choose a store for him. */
const NEW_USER_EVERY = 4
const MOST_STAY_MS = 2_000
const MOST_PAUSE_MS = 1_000
/** mailmux's own limit for the back end, its two questions to Redis, and a machine with more to do than this. */
const ANSWER_MS = BACKEND_TIMEOUT_MS + 7_000
/** When all is well again: Dovecot starts, and mailmux finds out. */
const RECOVERY_MS = 60_000

export type ChaosOptions = {
  seed: number
  ms: number
  /** a Redis for each instance: the property must fail then */
  apart?: boolean
}

export type ChaosReport = {
  plan: readonly Blow[]
  /** what must not have happened; empty: the property holds */
  problems: readonly string[]
  figures: {
    users: number
    logins: number
    accepted: number
    unavailable: number
    /** sessions whose client has read which store it is on */
    lookedAround: number
    visitsSeen: number
    /** of those seen, what chaos-record.ts calls ghosts */
    ghosts: number
    slowestAnswerMs: number
    /** what each instance holds in the end */
    instancesMiB: readonly number[]
  }
}

/** Starts everything, lets it suffer for `ms`, and looks at what came of it. */
export async function runChaos({ seed, ms, apart = false }: ChaosOptions): Promise<ChaosReport> {
  const begun = performance.now()
  const record = createVisitRecord(() => performance.now() - begun)
  const site = await startChaosSite({ record, apart })
  try {
    return await suffer(site, record, planChaos(seed, ms), { seed, ms })
  } finally {
    await site.scene.close()
  }
}

/** What a person needs to see it again, and to see it at all. */
export function describeReport({ seed, ms }: ChaosOptions, { plan, problems, figures }: ChaosReport): string {
  return [
    `CHAOS_SEED=${seed} CHAOS_SECONDS=${ms / 1000}`,
    describePlan(plan),
    JSON.stringify(figures),
    ...problems.slice(0, 20),
  ].join('\n')
}

async function suffer(
  site: ChaosSite,
  record: VisitRecord,
  plan: readonly Blow[],
  { seed, ms }: ChaosOptions,
): Promise<ChaosReport> {
  const guests = createGuests(site)
  const end = performance.now() + ms
  // Visitors draw from a chance of their own: how often they do depends on how soon they are answered.
  const visitors = Array.from({ length: VISITORS }, (_, index) =>
    comeAndGo(site, guests, createRandom(seed + 1 + index), end),
  )
  await Promise.all([...visitors, carryOut(site, plan)])

  const problems = guests.problems
  await everybodyGetsIn(site, guests).catch((error: unknown) => {
    problems.push(`not well again: ${error instanceof Error ? error.message : String(error)}`)
  })
  for (const [index, { program, log }] of site.instances.entries()) {
    if (program.exit() !== undefined) problems.push(`mailmux ${index + 1} ended: ${program.stderr()}`)
    for (const line of log()) if (line.msg === 'defect') problems.push(`mailmux ${index + 1}: ${JSON.stringify(line)}`)
  }
  const instancesMiB = await Promise.all(
    site.instances.map(async ({ memory }) => Math.round((await memory()) / 2 ** 20)),
  )
  const visits = record.visits()
  const { accepted } = guests
  problems.push(...findOverlaps(visits), ...findWanderers(visits, accepted), ...findUnseen(visits, accepted))
  return {
    plan,
    problems,
    figures: {
      users: guests.users.length,
      visitsSeen: visits.length,
      ghosts: countGhosts(visits),
      ...guests.count,
      instancesMiB,
    },
  }
}

/** Each target by itself: its next blow comes when it has recovered from the last. */
async function carryOut(site: ChaosSite, plan: readonly Blow[]): Promise<void> {
  const begun = performance.now()
  const targets = Map.groupBy(plan, ({ target }) => target)
  const sufferings = [...targets].map(async ([target, blows]) => {
    for (const { atMs, forMs, harm } of blows) {
      await pass(Math.max(0, begun + atMs - performance.now()))
      const relieve = await site.strike(target, harm)
      await pass(forMs)
      await relieve()
    }
  })
  await Promise.all(sufferings)
}

type Guests = ReturnType<typeof createGuests>

/** Those who log in, and what they were told. */
function createGuests(site: ChaosSite) {
  const users: string[] = []
  const accepted = new Map<string, number>()
  /** where each user has found the message that waits there */
  const landed = new Map<string, Set<StoreName>>()
  const problems: string[] = []
  const count = { logins: 0, accepted: 0, unavailable: 0, lookedAround: 0, slowestAnswerMs: 0 }

  /** Logs in and gives the session, or undefined where the user was told to come back. */
  async function logIn(scene: Scene, user: string, mailmux: Mailmux, random: () => number) {
    const protocol = pick(random, ['imap', 'pop3'] as const)
    const port = protocol === 'imap' ? mailmux.ports.imapClear : mailmux.ports.pop3Clear
    const client = await openMailClient(scene, protocol, port, 'clear', {})
    const asked = performance.now()
    const outcome = await within(ANSWER_MS, client.login(user, PASSWORD), () => 'no answer to a login')
    count.logins++
    count.slowestAnswerMs = Math.max(count.slowestAnswerMs, Math.round(performance.now() - asked))
    if (outcome.accepted) {
      count.accepted++
      accepted.set(user, (accepted.get(user) ?? 0) + 1)
      return client
    }
    if (!/^(NO \[UNAVAILABLE\]|-ERR \[SYS\/TEMP\])/.test(outcome.answer)) {
      throw new Error(`was told ${outcome.answer}`)
    }
    count.unavailable++
    return undefined
  }

  /** The store may die meanwhile, and the session with it: then nobody has seen where it was. */
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
        const client = await logIn(scene, user, mailmux, random)
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

/** A scene within the scene: what a visit opens is closed with it, and not kept until the end of the run. */
function openVisit({ directory }: Scene): Scene {
  const closers: (() => Promise<void> | void)[] = []
  return {
    directory,
    closeLater: (close) => void closers.push(close),
    close: async () => {
      for (const close of closers) await close()
    },
  }
}

/** One visitor, being one user after the other. */
async function comeAndGo(site: ChaosSite, guests: Guests, random: () => number, end: number): Promise<void> {
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
async function everybodyGetsIn(site: ChaosSite, guests: Guests): Promise<void> {
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
  await Promise.all(Array.from({ length: VISITORS }, next))
}
