/**
 * Loaded into each process of the mailmux that is measured, before its own code (`NODE_OPTIONS=--import=...`). At SIGUSR2 it writes to
 * stderr for how long the event loop was held up at most since the last SIGUSR2: by the clock, which counts what else the machine did
 * meanwhile, and by the time for which this thread had a processor, which does not.
 */
import { isMainThread } from 'node:worker_threads'

/** A delay is seen to this many milliseconds. */
const TICK_MS = 1

export type LoopDelay = { pid: number; delayMs: number; busyMs: number }

function busyMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

if (isMainThread) {
  let longest = { delayMs: 0, busyMs: 0 }
  let last = { at: performance.now(), busy: busyMs() }
  const tick = (): void => {
    const now = { at: performance.now(), busy: busyMs() }
    longest = {
      delayMs: Math.max(longest.delayMs, now.at - last.at - TICK_MS),
      busyMs: Math.max(longest.busyMs, now.busy - last.busy),
    }
    last = now
  }
  setInterval(tick, TICK_MS).unref()
  process.on('SIGUSR2', () => {
    tick()
    const told: LoopDelay = { pid: process.pid, ...longest }
    longest = { delayMs: 0, busyMs: 0 }
    process.stderr.write(`${JSON.stringify(told)}\n`)
  })
}
