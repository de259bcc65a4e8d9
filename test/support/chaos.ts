/**
 * The chaos property: random users log in on two mailmux while stores and Redis die, hang and come back, and operators change routes and
 * states, hold, kick and move users. No user is ever connected to two stores at once, and no command is cut. What counts is what the
 * stores and the clients saw, not what mailmux says of itself.
 */
import { setTimeout as pass } from 'node:timers/promises'
import { comeAndGo, createGuests, everybodyGetsIn } from './chaos-guests.ts'
import type { LoginTally } from './chaos-login.ts'
import { createOperator, type Operator } from './chaos-operator.ts'
import { describeOrders, MOVED, planOrders, ROUTED, type Order } from './chaos-orders.ts'
import { type Blow, describePlan, planChaos } from './chaos-plan.ts'
import {
  countGhosts,
  createVisitRecord,
  findOverlaps,
  findUnseen,
  findWanderers,
  type VisitRecord,
} from './chaos-record.ts'
import { createResidents } from './chaos-residents.ts'
import { type Allowance, findDoubles, findKept, findStrays, findUncleared, type Trouble } from './chaos-routes.ts'
import { type ChaosSite, END_TIMEOUT_MS, startChaosSite } from './chaos-site.ts'
import { createRandom } from './random.ts'

/** Visitors at a time: two cores carry them, and Dovecot's process for each, beside other tests. */
const VISITORS = 10
/** After the last order and the last trouble every session is where its route says. */
const SETTLE_MS = 8_000

/** A move takes so long on a busy machine. A later one would make the run longer. */
const MOVE_MS = 8_000

/**
 * Writes of a route by an operator. From a push of Redis to the goodbye half a second is promised; the rest is for a machine with more
 * to do than this. An instance that has lost Redis connects again within two seconds, and then compares the users of all sessions.
 */
const OF_WRITES: Allowance = { loginMs: 2_000, endMs: END_TIMEOUT_MS + 3_000, recoveryMs: 3_000, excuses: ['redis'] }
/** A move has ended all sessions before it switches, whatever Redis does. Only the lines of a store may be late. */
const OF_MOVES: Allowance = { loginMs: 1_000, endMs: 1_000, recoveryMs: 1_000, excuses: [] }

export type ChaosOptions = {
  seed: number
  ms: number
  /** a Redis for each instance: the property must fail then */
  apart?: boolean
}

export type ChaosReport = {
  plan: readonly Blow[]
  orders: readonly (readonly Order[])[]
  /** what came of each move */
  moves: readonly string[]
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
    /** sessions of users with orders, what they did, and how many mailmux has ended */
    sessions: number
    commands: number
    endedByMailmux: number
    /** orders that were carried out */
    states: number
    routes: number
    holds: number
    kicks: number
    moved: number
    notMoved: number
    movesKilled: number
    /** what each instance holds in the end */
    instancesMiB: readonly number[]
  }
}

/** Starts everything, lets it suffer for `ms`, and looks at what came of it. */
export async function runChaos({ seed, ms, apart = false }: ChaosOptions): Promise<ChaosReport> {
  const startMs = performance.now()
  const nowMs = (): number => performance.now() - startMs
  const record = createVisitRecord(nowMs)
  const site = await startChaosSite({ record, apart })
  try {
    return await suffer(site, record, { seed, ms, startMs })
  } finally {
    await site.scene.close()
  }
}

/** What a person needs to see it again, and to see it at all. */
export function describeReport(
  { seed, ms }: ChaosOptions,
  { plan, orders, moves, problems, figures }: ChaosReport,
): string {
  return [
    `CHAOS_SEED=${seed} CHAOS_SECONDS=${ms / 1000}`,
    describePlan(plan),
    describeOrders(orders),
    ...moves,
    JSON.stringify(figures),
    ...problems.slice(0, 20),
  ].join('\n')
}

async function suffer(
  site: ChaosSite,
  record: VisitRecord,
  { seed, ms, startMs }: { seed: number; ms: number; startMs: number },
): Promise<ChaosReport> {
  const nowMs = (): number => performance.now() - startMs
  const plan = planChaos(seed, ms)
  const orders = planOrders(seed, ms)
  const troubles: Trouble[] = []
  const operator = createOperator(site, nowMs)
  const guests = createGuests(site, () => operator.waits, startMs)
  const tally = createTally()
  const residents = createResidents(site, troubles, tally, nowMs)
  await operator.begin()

  const end = performance.now() + ms
  let stayUntilMs = Infinity
  const lives = residents.live(seed, () => stayUntilMs)
  // Visitors draw from a chance of their own: how often they do depends on how soon they are answered.
  const visitors = Array.from({ length: VISITORS }, (_, index) =>
    comeAndGo(site, guests, createRandom(seed + 1 + index), end),
  )
  await Promise.all([...visitors, carryOut(site, plan, troubles, nowMs), giveOrders(operator, orders, end)])
  await operator.finish()
  const settledMs = performance.now() + SETTLE_MS

  const problems = [...guests.problems]
  const seen = problems.length
  const allWell = [everybodyGetsIn(site, guests), residents.allAtHome(operator.storeOf)]
  await Promise.all(allWell).catch((error: unknown) => {
    problems.push(`not well again: ${error instanceof Error ? error.message : String(error)}`)
  })
  await pass(Math.max(0, settledMs - performance.now()))
  const endMs = nowMs()
  const visits = structuredClone(record.visits())
  stayUntilMs = 0
  await lives
  problems.push(...guests.problems.slice(seen), ...residents.problems, ...operator.problems)
  for (const [index, { program, log }] of site.instances.entries()) {
    if (program.exit() !== undefined) problems.push(`mailmux ${index + 1} ended: ${program.stderr()}`)
    for (const line of log()) if (line.msg === 'defect') problems.push(`mailmux ${index + 1}: ${JSON.stringify(line)}`)
  }
  const instancesMiB = await Promise.all(
    site.instances.map(async ({ memory }) => Math.round((await memory()) / 2 ** 20)),
  )
  const ordered = [...ROUTED, ...MOVED]
  const ofGuests = visits.filter(({ user }) => !ordered.includes(user))
  const { accepted } = guests
  const { changes, kicks } = operator
  const isMoved = ({ user }: { user: string }): boolean => MOVED.includes(user)
  problems.push(
    ...findOverlaps(ofGuests),
    ...findWanderers(ofGuests, accepted),
    ...findUnseen(record.visits(), new Map([...accepted, ...tally.accepted])),
    ...findDoubles(visits, MOVED, troubles, OF_MOVES),
    ...findUncleared(visits, operator.cleared, troubles, OF_MOVES),
    ...findStrays(visits, changes.filter(isMoved), troubles, OF_MOVES, endMs),
    ...findStrays(
      visits,
      changes.filter((change) => !isMoved(change)),
      troubles,
      OF_WRITES,
      endMs,
    ),
    ...findKept(visits, kicks, troubles, OF_WRITES, endMs),
  )
  return {
    plan,
    orders,
    moves: operator.outcomes,
    problems,
    figures: {
      users: guests.users.length,
      visitsSeen: visits.length,
      ghosts: countGhosts(ofGuests),
      ...guests.count,
      ...residents.count,
      ...operator.count,
      instancesMiB,
    },
  }
}

function createTally(): LoginTally {
  return {
    accepted: new Map(),
    count: { logins: 0, accepted: 0, unavailable: 0, slowestAnswerMs: 0 },
    answered: () => undefined, // a hold or a move may last for as long as a login waits
  }
}

/** Each target by itself: its next blow comes when it has recovered from the last. */
async function carryOut(
  site: ChaosSite,
  plan: readonly Blow[],
  troubles: Trouble[],
  nowMs: () => number,
): Promise<void> {
  const begun = performance.now()
  const targets = Map.groupBy(plan, ({ target }) => target)
  const sufferings = [...targets].map(async ([target, blows]) => {
    for (const { atMs, forMs, harm } of blows) {
      await pass(Math.max(0, begun + atMs - performance.now()))
      const trouble: Trouble = { target, fromMs: nowMs(), toMs: Infinity }
      troubles.push(trouble)
      const relieve = await site.strike(target, harm)
      await pass(forMs)
      await relieve()
      trouble.toMs = nowMs()
    }
  })
  await Promise.all(sufferings)
}

/** Orders of a lane follow each other. A lane that is late leaves out what comes after the end. */
async function giveOrders(operator: Operator, lanes: readonly (readonly Order[])[], end: number): Promise<void> {
  const begun = performance.now()
  await Promise.all(
    lanes.map(async (orders) => {
      for (const order of orders) {
        await pass(Math.max(0, begun + order.atMs - performance.now()))
        if (performance.now() + (order.kind === 'move' ? MOVE_MS : 0) > end) return
        await operator.carryOut(order)
      }
    }),
  )
}
