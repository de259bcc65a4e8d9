/** What is measured, a row each. A new workload is a line here, and an operation in load.ts where it needs one. */
import type { Operation } from './load-orders.ts'

export type Workload = {
  name: string
  title: string
  operation: Operation
  wire: 'clear' | 'tls'
  /** operations under way at once */
  connections: number
  /** operations before the first that counts: a login of mailmux costs a fifth less after its 5,000th, when V8 has compiled all of it */
  warmUp: number
}

export type IdleWorkload = { name: string; title: string; wire: 'clear' | 'tls'; sessions: number }

/** So many at a time keep one worker busy while the load generator and the sink share the other core. */
const BUSY = 16
/**
 * nginx's mail proxy leaves Nagle's algorithm on: a TLS client's greeting waits 40 ms for the acknowledgement of the session tickets
 * before it. With 16 at a time nginx would mostly be idle, and pay for a wake-up an event: 10 % more CPU than it needs under load.
 */
const BUSY_DESPITE_NAGLE = 64
/** A round trip is the shortest operation: eight suffice, and latency is not that of a queue alone. */
const FEW = 8

export const workloads: Workload[] = [
  { name: 'login', title: 'login + logout, clear', operation: 'login', wire: 'clear', connections: BUSY, warmUp: 5000 },
  {
    name: 'login-tls',
    title: 'login + logout, TLS full',
    operation: 'login',
    wire: 'tls',
    connections: BUSY_DESPITE_NAGLE,
    warmUp: 1000,
  },
  { name: 'noop', title: 'NOOP, clear', operation: 'noop', wire: 'clear', connections: FEW, warmUp: 10000 },
  { name: 'noop-tls', title: 'NOOP, TLS', operation: 'noop', wire: 'tls', connections: FEW, warmUp: 10000 },
  { name: 'fetch', title: 'FETCH 1 MiB, clear', operation: 'fetch', wire: 'clear', connections: BUSY, warmUp: 300 },
  { name: 'fetch-tls', title: 'FETCH 1 MiB, TLS', operation: 'fetch', wire: 'tls', connections: BUSY, warmUp: 300 },
]

export const idleWorkloads: IdleWorkload[] = [
  { name: 'idle', title: 'idle session, clear', wire: 'clear', sessions: 1000 },
  { name: 'idle-tls', title: 'idle session, TLS', wire: 'tls', sessions: 1000 },
]
