/** How many sessions fit: a proxy has two files open for each. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Enough for 10,000 sessions of one process. */
const WANTED = 25_000
/** What a program needs beside its sessions. */
const BESIDE = 500

/** Raises the limit of open files where it may, for this process and all that it starts; gives the limit that holds then. */
export function raiseFileLimit(): number {
  try {
    const stdio = 'ignore'
    if (readFileLimit() < WANTED)
      execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${WANTED}:${WANTED}`], { stdio })
  } catch {
    // not root, or not allowed to: what there is has to do
  }
  return readFileLimit()
}

function readFileLimit(): number {
  // Node has raised the soft limit to the hard one when it started
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? 0)
}

/** The most sessions that a proxy of one process can hold, in hundreds. */
export function countPossibleSessions(fileLimit: number): number {
  return Math.floor((fileLimit - BESIDE) / 200) * 100
}

/** As many as are possible in place of counts that are not; rising. */
export function limitCounts(counts: number[], possible: number): number[] {
  return [...new Set(counts.map((count) => Math.min(count, possible)))].toSorted((a, b) => a - b)
}
