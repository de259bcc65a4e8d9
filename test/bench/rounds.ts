/**
 * The order of a run: every peer is proved and, on a runtime that compiles, warmed up, then in each round each workload goes through all peers before the next one
 * comes, so that what else the machine does meanwhile falls on all of them alike. Memory is taken of fresh instances, after that.
 */
import { findEntry, type Load, measureIdle, measureLoad } from './measure.ts'
import { limitCounts } from './file-limit.ts'
import type { Door, Peer, RunningPeer, PeerSetup } from './peers/peer.ts'
import type { Report, Section } from './report.ts'
import { withThousands } from './summary.ts'
import { findImprecise } from './precision.ts'
import type { IdleWorkload, Workload } from './workloads.ts'

export type Plan = {
  name: string
  title: string
  peers: Peer[]
  workloads: Workload[]
  idleWorkloads: IdleWorkload[]
  /** how many sessions to have open when memory is read, rising */
  idleCounts: number[]
  rounds: number
  /** more than `rounds` for those whose ratios are not precise (`findImprecise`), up to so many */
  mostRounds: number
  /** of each workload in each round */
  seconds: number
  /** warming up for one workload takes so long at most */
  warmUpSeconds: number
}

/** What all sections of a report share. */
export type Findings = Pick<Report, 'handshakes' | 'notes' | 'failures'>

/** Warming up goes on in steps of this length. */
const WARM_UP_STEP_S = 0.5

type Running = { peer: Peer; instance: RunningPeer }

/** Carries out the plan. What fails becomes a line in `failures`, and the rest goes on. `tell` hears how far it has come. */
export async function runRounds(
  plan: Plan,
  around: PeerSetup,
  startLoad: () => Promise<Load>,
  findings: Findings,
  tell: (progress: string) => void,
): Promise<Section> {
  const section: Section = {
    ...{ name: plan.name, title: plan.title, peers: plan.peers.map(({ name }) => name) },
    workloads: [...plan.workloads, ...plan.idleWorkloads].map(({ name, title }) => ({ name, title })),
    ...{ cells: [], idleCells: [] },
  }
  let load = await startLoad()
  const attempt = async (what: string, act: () => Promise<void>): Promise<void> => {
    try {
      await act()
    } catch (error) {
      findings.failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
      await load.stop() // it may have sessions and operations of the failed measure left
      load = await startLoad()
    }
  }

  const running: Running[] = []
  for (const peer of plan.workloads.length > 0 ? plan.peers : []) {
    await attempt(peer.name, async () => {
      tell(`${plan.name}: starting ${peer.name}`)
      const instance = await peer.start(around)
      await prove(load, instance)
      running.push({ peer, instance })
    })
  }
  for (const workload of plan.workloads) {
    for (const { peer, instance } of running.filter((one) => one.peer.isCompiled !== true)) {
      tell(`${plan.name}: warming up ${peer.name}, ${workload.title}`)
      await attempt(`${peer.name}, ${workload.title}, warming up`, async () => {
        const done = await warmUp(load, instance, workload, plan.warmUpSeconds)
        if (done !== undefined && done < workload.warmUp) {
          const counts = `${withThousands(done)} operations, not ${withThousands(workload.warmUp)}`
          findings.notes.push(`${peer.name} (${plan.name}), ${workload.title}: warmed up with ${counts}`)
        }
      })
    }
  }
  for (let round = 1; round <= plan.mostRounds; round++) {
    // Decided at the start of a round: both rows of a ratio are measured in it, or none.
    const imprecise = round > plan.rounds ? findImprecise(section, plan.workloads) : undefined
    if (imprecise?.size === 0) break
    for (const workload of plan.workloads) {
      const wanted = running.filter(
        ({ peer }) => imprecise?.get(workload.name)?.has(peer.name) ?? imprecise === undefined,
      )
      // In turn from either end, so that no peer is always measured after the same one.
      for (const { peer, instance } of round % 2 === 1 ? wanted : wanted.toReversed()) {
        tell(`${plan.name}: round ${round} of ${plan.rounds} to ${plan.mostRounds}, ${workload.title}, ${peer.name}`)
        await attempt(`${peer.name}, ${workload.title}, round ${round}`, async () => {
          const measured = await measureLoad(load, instance, workload, plan.seconds)
          if (measured === undefined) return
          const { figures, cpu, handshake } = measured
          if (handshake !== undefined) findings.handshakes[peer.name] = handshake
          section.cells.push({
            ...{ workload: workload.name, peer: peer.name, round, ...figures },
            cpuUsPerOperation: cpu && (cpu.ms * 1000) / figures.operations,
            busiestUsPerOperation: cpu && (cpu.busiestMs * 1000) / figures.operations,
            systemShare: cpu?.systemShare,
            cpuSource: cpu?.source,
          })
        })
      }
    }
  }
  for (const { peer, instance } of running) {
    await attempt(`${peer.name}, its end`, async () => {
      const account = await instance.account?.()
      if (account !== undefined) findings.notes.push(`${peer.name} (${plan.name}): ${account}`)
      await instance.stop()
    })
  }

  for (const workload of plan.idleWorkloads) {
    for (const peer of plan.peers) {
      tell(`${plan.name}: ${workload.title}, ${peer.name}`)
      await attempt(`${peer.name}, ${workload.title}`, async () => {
        const instance = await peer.start(around)
        try {
          const entry = findEntry(instance, workload.door)
          if (entry === undefined || instance.pids.length === 0) return
          const readings = await measureIdle(
            load,
            instance,
            entry,
            limitCounts(plan.idleCounts, peer.mostSessions ?? Infinity),
          )
          section.idleCells.push({ workload: workload.name, peer: peer.name, readings })
        } finally {
          await instance.stop()
        }
      })
    }
  }
  await load.stop()
  return section
}

/** One real login through every door, and one that must be refused: what is measured is known to work. */
async function prove(load: Load, instance: RunningPeer): Promise<void> {
  for (const door of Object.keys(instance.ports) as Door[]) {
    const entry = findEntry(instance, door)
    if (entry !== undefined) await load.ask({ do: 'prove', ...entry })
  }
}

/** Until so many operations are done as the workload wants, or the time is up. Gives how many were; undefined without such a door. */
async function warmUp(load: Load, peer: RunningPeer, workload: Workload, seconds: number): Promise<number | undefined> {
  const alone = { ...workload, present: 1 } // opening thousands of sessions for each step would take minutes
  const until = performance.now() + seconds * 1000
  let done = 0
  while (done < workload.warmUp && performance.now() < until) {
    const measured = await measureLoad(load, peer, alone, WARM_UP_STEP_S)
    if (measured === undefined) return undefined
    done += measured.figures.operations
  }
  return done
}
