/** Free ports on 127.0.0.1, never the same twice within a process and seldom the same in two. */
import { createServer } from 'node:net'

// Below the range that the kernel hands out to outgoing connections (32768 and up): a port found free there stays free.
// Above 20000 nothing of the demo listens. Each process begins in a slice of its own, chosen by its pid, because
// test files run in parallel and pids follow each other.
const FIRST = 20_000
const COUNT = 12_000
const SLICE = 60

const handedOut = new Set<number>()
let next = (process.pid * SLICE) % COUNT

/** A port on which nobody listens now. The caller binds it soon, or has a child do so. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < COUNT; tries++) {
    const port = FIRST + next
    next = (next + 1) % COUNT
    if (handedOut.has(port) || !(await isFree(port))) continue
    handedOut.add(port)
    return port
  }
  throw new Error(`no free port between ${FIRST} and ${FIRST + COUNT - 1}`)
}

/** Whether a server could listen on this port of 127.0.0.1 now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
