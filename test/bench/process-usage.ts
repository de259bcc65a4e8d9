/** CPU time and memory of a program: one process, its threads, and all its descendants, as Linux accounts for them under /proc. */
import { readdirSync, readFileSync } from 'node:fs'
import { listProcesses, readStat } from '../support/process-tree.ts'

/** USER_HZ, the unit of /proc/PID/stat, is 100 on every architecture that Linux supports today. */
const TICK_MS = 10

export type CpuReading = {
  /** thread id to nanoseconds on a CPU; kernel time on the thread's behalf is included */
  threads: Map<string, number>
  /** user and system time of the processes in ticks; keeps the time of threads that have ended */
  userMs: number
  systemMs: number
}

export type CpuSpent = { ms: number; systemShare: number; source: 'schedstat' | 'stat' }

export function readCpu(rootPid: number): CpuReading {
  const reading: CpuReading = { threads: new Map(), userMs: 0, systemMs: 0 }
  for (const pid of listProcesses(rootPid)) {
    const fields = readStat(pid)
    if (fields === undefined) continue
    // utime and stime, fields 14 and 15 of proc(5)
    reading.userMs += Number(fields[11]) * TICK_MS
    reading.systemMs += Number(fields[12]) * TICK_MS
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const schedstat = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1')
      reading.threads.set(thread, Number(schedstat.split(' ')[0]))
    }
  }
  return reading
}

/** Nanoseconds by thread where every thread lived through the interval; else ticks, which remember those that ended. */
export function cpuBetween(before: CpuReading, after: CpuReading): CpuSpent {
  const userMs = after.userMs - before.userMs
  const systemMs = after.systemMs - before.systemMs
  const systemShare = systemMs / Math.max(TICK_MS, userMs + systemMs)
  const allLived = [...before.threads.keys()].every((thread) => after.threads.has(thread))
  const isCounting = [...after.threads.values()].some((ns) => ns > 0) // zero without CONFIG_SCHED_INFO
  if (!allLived || !isCounting) return { ms: userMs + systemMs, systemShare, source: 'stat' }
  let ns = 0
  for (const [thread, spent] of after.threads) ns += spent - (before.threads.get(thread) ?? 0)
  return { ms: ns / 1e6, systemShare, source: 'schedstat' }
}

/** Proportional set size in KiB: a page shared by n processes counts 1/n in each, so master and worker are not counted twice. */
export function readMemoryKiB(rootPid: number): number {
  let total = 0
  for (const pid of listProcesses(rootPid)) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
    total += Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0)
  }
  return total
}
