/**
 * Moves there and back, while instances are killed or stand still, answers are lost or late, the command fails or hangs, and the move
 * itself is killed: the user is never served by two stores, nor by the old one while the final pass copies it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FleetRules } from '../../../src/move/instances.ts'
import { moveUser, type MoveParts } from '../../../src/move/move-user.ts'
import type { PassResult, RunPass } from '../../../src/move/passes.ts'
import { between, createRandom, pick } from '../../support/random.ts'
import type { VirtualClock } from '../../support/virtual-clock.ts'
import { createScene, exit } from './model.ts'
import { createModelFleet, HEARTBEAT_MS, LOGIN_MS, type ModelFleet } from './model-instances.ts'

const RUN_MS = 5 * 60_000
const SEEDS = 20

/** Whatever a killed process awaits never comes. */
function killable(parts: MoveParts, isKilled: () => boolean): MoveParts {
  const never = new Promise<never>(() => undefined)
  const guard = <A extends unknown[], R>(call: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      if (isKilled()) return never
      const result = await call(...args).catch((error: unknown) =>
        isKilled() ? never : Promise.reject(error as Error),
      )
      return isKilled() ? never : result
    }
  }
  const { store, clock, fleet, run } = parts
  return {
    ...parts,
    clock: { nowMs: clock.nowMs, sleep: guard(clock.sleep) },
    fleet: { list: guard(() => fleet.list()), quiesce: guard((...args) => fleet.quiesce(...args)) },
    run: run && guard(run),
    store: {
      take: guard((...args) => store.take(...args)),
      renew: guard((...args) => store.renew(...args)),
      switch: guard((...args) => store.switch(...args)),
      release: guard((...args) => store.release(...args)),
      read: guard((...args) => store.read(...args)),
    },
  }
}

/** Runs for a while, and ends in one of all ways. A final pass must find that no session writes to the old store. */
function unreliableCommand(clock: VirtualClock, fleet: ModelFleet, random: () => number): RunPass {
  return async ({ from }, pass, deadlineMs, signal): Promise<PassResult> => {
    const endMs = clock.nowMs() + (random() < 0.05 ? Infinity : between(random, 50, random() < 0.2 ? 50_000 : 1000))
    const startMs = clock.nowMs()
    while (clock.nowMs() < endMs && !signal.aborted) {
      if (pass === 'final') assert.ok(!fleet.served().has(from), 'the old store is used during the final pass')
      if (clock.nowMs() - startMs > deadlineMs) return { end: 'timeout', stderr: '' }
      await clock.sleep(200, signal)
    }
    if (signal.aborted) return { end: { signal: 'SIGTERM' }, stderr: '' }
    return exit(pick(random, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 75, 1]))
  }
}

type Chaos = {
  /** how many processes move the user at the same time */
  movers: number
  fleetRules: FleetRules
  /** instances are cut off from the directory, and go on serving by what they remember */
  cutsOff: boolean
}

async function runChaos(
  seed: number,
  { movers, fleetRules, cutsOff }: Chaos,
): Promise<{ moved: number; failed: number; killed: number }> {
  const random = createRandom(seed)
  const scene = createScene()
  const { clock, directory } = scene
  const wrong: string[] = []
  const fleet = createModelFleet(clock, directory, random, (stores) => {
    if (stores.size > 1 && wrong.length < 3) wrong.push(`served by ${[...stores].join(' and ')} at ${clock.nowMs()} ms`)
  })
  const count = { moved: 0, failed: 0, killed: 0 }
  directory.fault = () => {
    const fault = random()
    if (fault < 0.02) return 'lost-before'
    if (fault < 0.04) return 'lost-after'
    return fault < 0.06 ? { lateMs: between(random, 1, 90_000) } : undefined
  }
  for (let index = 0; index < 3; index++) fleet.start()

  async function fail(): Promise<void> {
    while (clock.nowMs() < RUN_MS) {
      await clock.sleep(between(random, 1000, 60_000))
      if (random() < 0.3) {
        fleet.kill()
        void clock.sleep(between(random, 1000, 60_000)).then(fleet.start)
      } else if (cutsOff && random() < 0.5) fleet.cutOff(between(random, 1000, 60_000))
      else fleet.freeze(between(random, 100, random() < 0.5 ? 5000 : 90_000))
    }
  }

  async function move(): Promise<void> {
    while (clock.nowMs() < RUN_MS) {
      await clock.sleep(between(random, 10, 5000))
      const from = directory.hash.backend ?? ''
      const to = from === 'store1' ? 'store2' : 'store1'
      const killAtMs = random() < 0.25 ? clock.nowMs() + between(random, 1, 90_000) : Infinity
      const parts = scene.parts({
        fleet,
        fleetRules,
        run: unreliableCommand(clock, fleet, random),
        deadlines: {
          check: 10_000,
          copy: 60_000,
          hold: 10_000,
          end: 120_000,
          settle: 1,
          final: 90_000,
          switch: 10_000,
          release: 10_000,
        },
      })
      const moving = moveUser(
        { user: 'ann', from, to },
        killable(parts, () => clock.nowMs() >= killAtMs),
      )
      const killing = async (): Promise<'killed'> => {
        await clock.sleep(killAtMs - clock.nowMs())
        return 'killed'
      }
      const outcome = await Promise.race(killAtMs === Infinity ? [moving] : [moving, killing()])
      if (outcome === 'killed') {
        count.killed++
        continue
      }
      count[outcome.kind]++
      if (movers > 1) continue
      if (outcome.kind === 'moved') assert.equal(directory.hash.backend, to)
      else if (outcome.route === 'old') assert.equal(directory.hash.backend, from)
    }
  }

  await clock.drive(Promise.all([fail(), ...Array.from({ length: movers }, move)]))
  directory.fault = () => undefined
  // The latest request is carried out 91 s after it was sent, and its hold lasts 60 s.
  await clock.pass(160_000)
  assert.deepEqual(wrong, [])
  assert.ok(directory.route() === 'store1' || directory.route() === 'store2', 'a hold is left behind')
  return count
}

const strict: FleetRules = { deadAfterMs: Infinity, isOffline: false }
/** The operator says that lost instances have ended, which is then true. */
const assuming: FleetRules = { deadAfterMs: HEARTBEAT_MS + LOGIN_MS, isOffline: false }

const CASES: Record<string, Chaos> = {
  'one move at a time': { movers: 1, fleetRules: strict, cutsOff: true },
  'two moves at a time': { movers: 2, fleetRules: strict, cutsOff: true },
  'lost instances that count as dead': { movers: 1, fleetRules: assuming, cutsOff: false },
}

for (const [what, chaos] of Object.entries(CASES))
  test(`a user is never served by two stores: ${what}`, async () => {
    const all = { moved: 0, failed: 0, killed: 0 }
    for (let seed = 1; seed <= SEEDS; seed++) {
      const count = await runChaos(seed, chaos).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${String(error)}`, { cause: error })
      })
      for (const kind of ['moved', 'failed', 'killed'] as const) all[kind] += count[kind]
    }
    // The failures leave room for moves, and the moves for failures.
    for (const kind of ['moved', 'failed', 'killed'] as const) assert.ok(all[kind] >= 10, JSON.stringify(all))
  })
