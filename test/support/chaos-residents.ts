/** Users with sessions that work until they are ended. Operators change their routes, hold them, kick them and move them. */
import { setTimeout as pass } from 'node:timers/promises'
import { MOVED, ROUTED } from './chaos-orders.ts'
import { calmMs, type Trouble } from './chaos-routes.ts'
import { findStore, work, type SessionLimits } from './chaos-session.ts'
import { END_TIMEOUT_MS, type ChaosSite } from './chaos-site.ts'
import { until } from './deadline.ts'
import { markerMessage } from './dovecot.ts'
import { logInOnce, type LoginTally } from './chaos-login.ts'
import type { Mailmux } from './mailmux.ts'
import { between, createRandom } from './random.ts'
import { openVisit } from './scene.ts'
import { STORES } from './site.ts'

/** Most sessions outlast several orders. */
const MOST_STAY_MS = 20_000
const MOST_PAUSE_MS = 500
/** A connection is closed some time after the store had its trouble. */
const LATELY_MS = 3_000
/** After the last order: as long as the last users of a hold wait. */
const HOME_MS = 60_000
const USERS = [...ROUTED, ...MOVED]
type Acceptance = { store: string; acceptedMs: number }

export type Residents = {
  problems: string[]
  count: { sessions: number; commands: number; endedByMailmux: number }
  /** Waits until each user has a session at the store of the route, on each instance. */
  allAtHome: (storeOf: (user: string) => string | undefined) => Promise<void>
  /** Runs until `untilMs`, and ends all sessions. */
  live: (seed: number, untilMs: () => number) => Promise<void>
}

/** @param troubles of all targets so far, with times of `nowMs` */
export function createResidents(
  site: ChaosSite,
  troubles: readonly Trouble[],
  tally: LoginTally,
  nowMs: () => number,
): Residents {
  const problems: string[] = []
  const count = { sessions: 0, commands: 0, endedByMailmux: 0 }
  const acceptances = new Map<string, Acceptance[]>()

  /** stores of running sessions by user */
  const running = new Map<string, string[]>()
  const sessionsAt = (user: string, store: string | undefined): number =>
    running.get(user)?.filter((one) => one === store).length ?? 0

  const limits: SessionLimits = {
    endTimeoutMs: END_TIMEOUT_MS,
    wasInTrouble: (store) => calmMs(nowMs() - LATELY_MS, nowMs(), troubles, [store], 0) < LATELY_MS,
  }

  /** A session of a user who is moved gets no answer to a command that was sent after a login at another store. */
  function checkAnswer(user: string, own: Acceptance, sentMs: number): void {
    count.commands++
    if (!MOVED.includes(user)) return
    const other = acceptances
      .get(user)
      ?.find(({ store, acceptedMs }) => store !== own.store && acceptedMs > own.acceptedMs && acceptedMs < sentMs)
    if (other) problems.push(`${user} was answered at ${own.store} after a login at ${other.store}`)
  }

  async function visit(user: string, mailmux: Mailmux, random: () => number, untilMs: () => number): Promise<void> {
    const scene = openVisit(site.scene)
    try {
      const client = await logInOnce(scene, user, mailmux, random, tally)
      if (!client) return
      const acceptedMs = performance.now()
      const store = await findStore(client, user)
      if (!store) return
      count.sessions++
      const own = { store, acceptedMs }
      acceptances.set(user, [...(acceptances.get(user) ?? []), own])
      const theirs = running.get(user) ?? []
      running.set(user, theirs)
      theirs.push(store)
      scene.closeLater(() => void theirs.splice(theirs.indexOf(store), 1))
      const leaveMs = acceptedMs + between(random, 0, MOST_STAY_MS)
      const end = await work(
        client,
        store,
        random,
        () => Math.min(leaveMs, untilMs()),
        limits,
        (sentMs) => checkAnswer(user, own, sentMs),
      )
      if (end === 'ended') count.endedByMailmux++
      else if (end !== 'left') problems.push(`${user} at ${store} ${Math.round(nowMs())}: ${end.fault}`)
      else if (random() < 0.5) await client.quit().catch(() => undefined)
    } catch (error) {
      problems.push(`${user} ${error instanceof Error ? error.message : String(error)}`)
    } finally {
      await scene.close()
    }
  }

  return {
    problems,
    count,
    async allAtHome(storeOf) {
      await until(
        HOME_MS,
        () => USERS.every((user) => sessionsAt(user, storeOf(user)) === site.instances.length) || undefined,
        () =>
          `not at home: ${USERS.filter((user) => sessionsAt(user, storeOf(user)) < site.instances.length).join(', ')}`,
      )
    },
    async live(seed, untilMs) {
      await Promise.all(
        USERS.flatMap((user) => STORES.map((name) => site.stores[name].deliver(user, markerMessage(name, user)))),
      )
      const one = async (user: string, mailmux: Mailmux, random: () => number): Promise<void> => {
        while (performance.now() < untilMs()) {
          await visit(user, mailmux, random, untilMs)
          await pass(between(random, 0, MOST_PAUSE_MS))
        }
      }
      await Promise.all(
        USERS.flatMap((user, index) =>
          site.instances.map((mailmux, at) => one(user, mailmux, createRandom(seed + 100 * (index + 1) + at))),
        ),
      )
    },
  }
}
