/** Free ports on 127.0.0.1, never the same twice within a process, nor in two processes that run at the same time. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Below the range that the kernel hands out to outgoing connections (32768 and up): a port found free there stays free.
// Above 20000 nothing of the demo listens. Each process begins in a slice of its own, chosen by its pid, because
// test files run in parallel and pids follow each other.
const FIRST = 20_000
const COUNT = 12_000
const SLICE = 60

/** A file for each port that a running process was given: a port is bound some time after it was found free. */
const reservations = join(tmpdir(), `mailmux-ports-${process.getuid?.() ?? 0}`)

const handedOut = new Set<number>()
let next = (process.pid * SLICE) % COUNT
let isPrepared = false

/** A port on which nobody listens now. The caller binds it soon, or has a child do so. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < COUNT; tries++) {
    const port = FIRST + next
    next = (next + 1) % COUNT
    if (handedOut.has(port) || !reserve(port)) continue
    handedOut.add(port)
    if (await isFree(port)) return port
  }
  throw new Error(`no free port between ${FIRST} and ${FIRST + COUNT - 1}`)
}

/** @returns whether the port is this process's now. What a process that has ended left behind does not count. */
function reserve(port: number): boolean {
  if (!isPrepared) prepare()
  const file = join(reservations, String(port))
  for (let tries = 0; tries < 2; tries++) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      return true
    } catch {
      if (isRunning(file)) return false
      rmSync(file, { force: true })
    }
  }
  return false
}

function prepare(): void {
  isPrepared = true
  mkdirSync(reservations, { recursive: true })
  process.once('exit', () => {
    for (const mine of handedOut) rmSync(join(reservations, String(mine)), { force: true })
  })
}

/** Whether the process that a reservation names is running. */
function isRunning(file: string): boolean {
  try {
    const text = readFileSync(file, 'latin1')
    return text === '' || process.kill(Number(text), 0) // empty: it is being written
  } catch {
    return false
  }
}

/** Whether a server could listen on this port of 127.0.0.1 now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
