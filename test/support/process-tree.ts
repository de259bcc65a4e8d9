/** A program with all that it has started, as Linux tells of it under /proc: to measure it, to make it hang, to have it die at once. */
import { readdirSync, readFileSync } from 'node:fs'
import { START_DEADLINE_MS, until } from './deadline.ts'

/** The fields of /proc/PID/stat from the third on: the second, a name in brackets, may hold blanks. */
export function readStat(pid: string): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined // it ended meanwhile
  }
}

/** One that has ended and that nobody has asked after yet (a zombie) does not run. */
export function isRunning(pid: string): boolean {
  const state = readStat(pid)?.[0]
  return state !== undefined && state !== 'Z' && state !== 'X'
}

/** Waits until each has ended. A process that is killed ends a moment after the signal, also when its parent has ended before it. */
export async function waitUntilEnded(pids: readonly string[]): Promise<void> {
  const left = (): string[] => pids.filter(isRunning)
  await until(
    START_DEADLINE_MS,
    () => left().length === 0 || undefined,
    () => `these processes still run: ${left().join(' ')}`,
  )
}

/** The process and all that descend from it. */
export function listProcesses(rootPid: number): string[] {
  const children = new Map<string, string[]>()
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const parent = readStat(pid)?.[1]
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const found = [String(rootPid)]
  for (const pid of found) found.push(...(children.get(pid) ?? [])) // the list grows while it is walked
  return found
}

/** Makes the whole program hang, what it starts meanwhile included. Gives the processes, for `signalAll`. */
export function freezeTree(rootPid: number): string[] {
  const frozen = new Set<string>()
  for (;;) {
    const fresh = listProcesses(rootPid).filter((pid) => !frozen.has(pid))
    if (fresh.length === 0) return [...frozen]
    signalAll(fresh, 'SIGSTOP')
    for (const pid of fresh) frozen.add(pid)
  }
}

/** Those that have ended meanwhile are passed over. */
export function signalAll(pids: readonly string[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(Number(pid), signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

/** What the process calls itself. */
export function nameOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd()
  } catch {
    return undefined
  }
}

/** Makes the whole program hang, until what it gives is called. */
export function hangTree(rootPid: number): () => void {
  const hung = freezeTree(rootPid)
  return () => signalAll(hung, 'SIGCONT')
}

const SLOW_PERIOD_MS = 200
const SLOW_RUNS_MS = 20

/** Lets the program's processes of now run a tenth of the time, until what it gives is called. */
export function slowTree(rootPid: number): () => void {
  const slowed = listProcesses(rootPid)
  let waking: NodeJS.Timeout | undefined
  const beat = (): void => {
    signalAll(slowed, 'SIGSTOP')
    waking = setTimeout(() => signalAll(slowed, 'SIGCONT'), SLOW_PERIOD_MS - SLOW_RUNS_MS)
  }
  const beating = setInterval(beat, SLOW_PERIOD_MS)
  beat()
  return () => {
    clearInterval(beating)
    clearTimeout(waking)
    signalAll(slowed, 'SIGCONT')
  }
}
