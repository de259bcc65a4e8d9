/**
 * The order of a run: every peer is warmed up, then in each round each workload goes through all peers before the next one comes,
 * so that what else the machine does meanwhile falls on all of them alike. Memory is taken of fresh instances, after that.
 */
import { type Load, measureIdle, measureLoad } from './measure.ts'
import type { Peer, RunningPeer, Surroundings } from './peers/peer.ts'
import type { Cell, IdleCell } from './report.ts'
import type { IdleWorkload, Workload } from './workloads.ts'

export type Plan = {
  peers: Peer[]
  workloads: Workload[]
  idleWorkloads: IdleWorkload[]
  rounds: number
  /** fewer will do: memory varies little, and each needs a fresh start of every peer */
  idleRounds: number
  /** of each workload in each round */
  seconds: number
}

export type Results = {
  cells: Cell[]
  idleCells: IdleCell[]
  /** what each peer agreed on in its handshakes */
  handshakes: Record<string, string>
  failures: string[]
}

/** Warming up goes on in steps of this length, */
const WARM_UP_STEP_S = 0.5
/** and ends here even when a slow machine has not done all that was asked. */
const MAX_WARM_UP_STEPS = 10

/** Carries out the plan. What fails becomes a line in `failures`, and the rest goes on. */
export async function runRounds(plan: Plan, around: Surroundings, startLoad: () => Promise<Load>): Promise<Results> {
  const results: Results = { cells: [], idleCells: [], handshakes: {}, failures: [] }
  let load = await startLoad()
  const attempt = async (what: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act()
    } catch (error) {
      results.failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
      await load.stop() // it may have sessions and operations of the failed measure left
      load = await startLoad()
    }
  }

  const running: { peer: Peer; instance: RunningPeer }[] = []
  for (const peer of plan.workloads.length > 0 ? plan.peers : []) {
    await attempt(peer.name, async () => {
      running.push({ peer, instance: await peer.start(around) })
    })
  }
  for (const workload of plan.workloads) {
    for (const { peer, instance } of running) {
      await attempt(`${peer.name}, ${workload.title}, warming up`, () => warmUp(load, instance, workload))
    }
  }
  for (let round = 1; round <= plan.rounds; round++) {
    for (const workload of plan.workloads) {
      for (const { peer, instance } of running) {
        await attempt(`${peer.name}, ${workload.title}, round ${round}`, async () => {
          const measured = await measureLoad(load, instance, workload, plan.seconds)
          if (measured === undefined) return
          const { figures, cpu, handshake } = measured
          if (handshake !== undefined) results.handshakes[peer.name] = handshake
          results.cells.push({
            ...{ workload: workload.name, peer: peer.name, round, ...figures },
            cpuUsPerOperation: cpu && (cpu.ms * 1000) / figures.operations,
            systemShare: cpu?.systemShare,
            cpuSource: cpu?.source,
          })
        })
      }
    }
  }
  for (const { instance } of running) await instance.stop()

  for (let round = 1; round <= plan.idleRounds; round++) {
    for (const workload of plan.idleWorkloads) {
      for (const peer of plan.peers) {
        await attempt(`${peer.name}, ${workload.title}, round ${round}`, async () => {
          const instance = await peer.start(around)
          try {
            const port = instance.ports[workload.wire]
            if (port === undefined || instance.pid === undefined) return
            const { name, sessions } = workload
            const memory = await measureIdle(load, instance.pid, workload, port)
            results.idleCells.push({ workload: name, peer: peer.name, round, sessions, ...memory })
          } finally {
            await instance.stop()
          }
        })
      }
    }
  }
  return results
}

async function warmUp(load: Load, peer: RunningPeer, workload: Workload): Promise<void> {
  let done = 0
  for (let step = 0; step < MAX_WARM_UP_STEPS && done < workload.warmUp; step++) {
    const measured = await measureLoad(load, peer, workload, WARM_UP_STEP_S)
    if (measured === undefined) return
    done += measured.figures.operations
  }
}
