/** Profiles: running peers under one workload, with the processor time of the same operations and of others without a profile. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Load, measureLoad } from '../measure.ts'
import type { RunningPeer } from '../peers/peer.ts'
import type { Workload } from '../workloads.ts'
import { callerOf, causeOf, readSamples, type Sample } from './causes.ts'

const run = promisify(execFile)

/** Two thousand make a login dearer by a quarter on a virtual machine. */
const SAMPLES_PER_S = 299
const ROUNDS = 4
const SCRIPT_BYTES = 1024 * 1024 * 1024

export type Profile = {
  /** µs of one operation, while profiled */
  profiledUs: number
  /** the same, in intervals between those of the profile */
  measuredUs: number
  samples: number
  /** samples by cause, and by the folder that had it done */
  causes: Map<string, number>
  callers: Map<string, number>
}

function tally(names: string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

/** CPU time and operations of intervals, to be added up. */
export type Spent = { ms: number; operations: number }

async function spend(load: Load, peer: RunningPeer, workload: Workload, seconds: number): Promise<Spent> {
  const measured = await measureLoad(load, peer, workload, seconds)
  if (measured?.cpu === undefined) throw new Error('no processor time')
  return { ms: measured.cpu.ms, operations: measured.figures.operations }
}

/** Throws with perf's own words when it does not run. */
async function recordOnce(file: string, pid: number, act: () => Promise<Spent>): Promise<[Spent, Sample[]]> {
  const args = ['record', '-q', '-e', 'cpu-clock', '-F', String(SAMPLES_PER_S), '-g', '-p', String(pid), '-o', file]
  const perf = spawn('perf', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let words = ''
  perf.stderr.on('data', (chunk: Buffer) => (words += chunk.toString()))
  const ended = once(perf, 'exit')
  const spent = await act()
  perf.kill('SIGINT')
  await ended
  const script = ['script', '-i', file, '--no-inline', '-F', 'comm,ip,sym,dso']
  const { stdout } = await run('perf', script, { maxBuffer: SCRIPT_BYTES }).catch((error: unknown) => {
    throw new Error(`perf: ${words} ${error instanceof Error ? error.message.slice(0, 500) : String(error)}`)
  })
  rmSync(file, { force: true })
  return [spent, readSamples(stdout)]
}

/** Several peers in turn, with and without a profile: what else the machine does falls on all of them alike. In the order of the peers. */
export async function record(
  directory: string,
  load: Load,
  peers: RunningPeer[],
  workload: Workload,
  seconds: number,
): Promise<Profile[]> {
  const found = peers.map((peer) => {
    const nothing = (): Spent => ({ ms: 0, operations: 0 })
    return { peer, plain: nothing(), profiled: nothing(), samples: new Array<Sample>() }
  })
  for (let round = 1; round <= ROUNDS; round++) {
    for (const one of round % 2 === 1 ? found : found.toReversed()) {
      const act = () => spend(load, one.peer, workload, seconds / ROUNDS)
      one.plain = add(one.plain, await act())
      const [spent, samples] = await recordOnce(join(directory, 'samples.perf'), one.peer.pids[0]!, act)
      one.profiled = add(one.profiled, spent)
      one.samples.push(...samples)
    }
  }
  return found.map(({ plain, profiled, samples }) => ({
    ...{ profiledUs: usOf(profiled), measuredUs: usOf(plain), samples: samples.length },
    causes: tally(samples.map(causeOf)),
    callers: tally(samples.map(callerOf)),
  }))
}

function add(one: Spent, other: Spent): Spent {
  return { ms: one.ms + other.ms, operations: one.operations + other.operations }
}

function usOf({ ms, operations }: Spent): number {
  return (ms * 1000) / operations
}
