/**
 * Profiles: running peers under one workload. Each sample stands for the same processor time, so that the samples can be compared with the
 * processor time that the kernel has counted in the same intervals. Other intervals have no profile: they show what the profile costs.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { promisify } from 'node:util'
import { type Load, measureLoad } from '../measure.ts'
import type { RunningPeer } from '../peers/peer.ts'
import type { Workload } from '../workloads.ts'
import { callerOf, causeOf, readSamples, type Sample } from './causes.ts'

const run = promisify(execFile)

/** Two thousand make a login dearer by a quarter on a virtual machine. */
const SAMPLES_PER_S = 299
const US_OF_A_SAMPLE = 1_000_000 / SAMPLES_PER_S
const ROUNDS = 4
const SCRIPT_BYTES = 1024 * 1024 * 1024

export type Profile = {
  /** µs of one operation while profiled, as the kernel has counted them */
  countedUs: number
  /** the same, in intervals between those of the profile */
  withoutProfileUs: number
  /** µs of one operation by cause, and by the folder whose function caused them: from the number of samples */
  causes: Map<string, number>
  callers: Map<string, number>
}

/** @returns µs of one operation by name */
function tally(names: string[], operations: number): Map<string, number> {
  const us = new Map<string, number>()
  for (const name of names) us.set(name, (us.get(name) ?? 0) + US_OF_A_SAMPLE / operations)
  return us
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
  const rate = ['-e', 'cpu-clock', '-F', String(SAMPLES_PER_S), '-g']
  // perf starts to sample at a command, and acknowledges it. Without that the samples would lack the begin of the interval.
  const args = ['record', '-q', ...rate, '-D', '-1', '--control', 'fd:3,4', '-p', String(pid), '-o', file]
  const perf = spawn('perf', args, { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] })
  let words = ''
  perf.stderr?.on('data', (chunk: Buffer) => (words += chunk.toString()))
  const ended = once(perf, 'exit')
  const [, , , control, acknowledgement] = perf.stdio as unknown as [null, null, Readable, Writable, Readable]
  control.write('enable\n')
  await Promise.race([once(acknowledgement, 'data'), ended])
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
    countedUs: usOf(profiled),
    withoutProfileUs: usOf(plain),
    causes: tally(samples.map(causeOf), profiled.operations),
    callers: tally(samples.map(callerOf), profiled.operations),
  }))
}

function add(one: Spent, other: Spent): Spent {
  return { ms: one.ms + other.ms, operations: one.operations + other.operations }
}

function usOf({ ms, operations }: Spent): number {
  return (ms * 1000) / operations
}
