/** CPU time and memory of programs: processes, their threads, and all their descendants, as Linux accounts for them under /proc. */
import { readdirSync, readFileSync } from 'node:fs'
import { listProcesses, readStat } from '../support/process-tree.ts'

/** USER_HZ, the unit of /proc/PID/stat, is 100 on every architecture that Linux supports today. */
const TICK_MS = 10

export type CpuReading = {
  /** process/thread to nanoseconds on a CPU; kernel time on the thread's behalf is included */
  threads: Map<string, number>
  /** user and system time of the processes in ticks; keeps the time of threads and of children that have ended */
  userMs: number
  systemMs: number
  /** of it, that of children that have ended */
  endedMs: number
  processes: number
}

export type CpuSpent = {
  ms: number
  /** of the process that took most, while it lived */
  busiestMs: number
  systemShare: number
  source: 'schedstat' | 'stat'
}

/** Undefined when the process or thread has ended meanwhile. */
function readProc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'latin1')
  } catch {
    return undefined
  }
}

function listThreads(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

export function readCpu(rootPids: number[]): CpuReading {
  const reading: CpuReading = { threads: new Map(), userMs: 0, systemMs: 0, endedMs: 0, processes: 0 }
  for (const pid of rootPids.flatMap(listProcesses)) {
    const fields = readStat(pid)
    if (fields === undefined) continue
    // utime, stime, cutime and cstime: fields 14 to 17 of proc(5)
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields
      .slice(11, 15)
      .map((ticks) => Number(ticks) * TICK_MS)
    reading.processes++
    reading.userMs += user + endedUser
    reading.systemMs += system + endedSystem
    reading.endedMs += endedUser + endedSystem
    for (const thread of listThreads(pid)) {
      const schedstat = readProc(`${pid}/task/${thread}/schedstat`)
      if (schedstat !== undefined) reading.threads.set(`${pid}/${thread}`, Number(schedstat.split(' ')[0]))
    }
  }
  return reading
}

/** Nanoseconds by thread where nothing ended in the interval; else ticks, which remember what did. */
export function cpuBetween(before: CpuReading, after: CpuReading): CpuSpent {
  const userMs = after.userMs - before.userMs
  const systemMs = after.systemMs - before.systemMs
  const systemShare = systemMs / Math.max(TICK_MS, userMs + systemMs)
  const msByProcess = new Map<string, number>()
  for (const [thread, spent] of after.threads) {
    const [pid = ''] = thread.split('/')
    const ms = (spent - (before.threads.get(thread) ?? 0)) / 1e6
    msByProcess.set(pid, (msByProcess.get(pid) ?? 0) + ms)
  }
  const ms = [...msByProcess.values()].reduce((sum, own) => sum + own, 0)
  const busiestMs = Math.max(0, ...msByProcess.values())
  const allLived = [...before.threads.keys()].every((thread) => after.threads.has(thread))
  // what began and ended in the interval is in the ticks alone; user and system time are each up to a tick off in every process
  const isWhole = userMs + systemMs - ms <= 2 * TICK_MS * after.processes
  const isCounting = [...after.threads.values()].some((spent) => spent > 0) // zero without CONFIG_SCHED_INFO
  return allLived && after.endedMs === before.endedMs && isWhole && isCounting
    ? { ms, busiestMs, systemShare, source: 'schedstat' }
    : { ms: userMs + systemMs, busiestMs, systemShare, source: 'stat' }
}

/** Proportional set size in KiB: a page shared by n processes counts 1/n in each, so master and worker are not counted twice. */
export function readMemoryKiB(rootPids: number[]): number {
  let total = 0
  for (const pid of rootPids.flatMap(listProcesses)) {
    const rollup = readProc(`${pid}/smaps_rollup`) ?? ''
    total += Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0)
  }
  return total
}
