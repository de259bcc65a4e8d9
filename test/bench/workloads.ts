/** What is measured, a row each. A new workload is a line here, and an operation in load.ts where it needs one. */
import type { Operation } from './load-orders.ts'
import type { Door } from './peers/peer.ts'

export type Workload = {
  name: string
  title: string
  operation: Operation
  door: Door
  /** every login resumes a TLS session; a peer that cannot is marked */
  resume?: true
  /** sessions that are open meanwhile and do nothing */
  present?: number
  /** operations under way at once */
  connections: number
  /** operations before the first that counts: V8 goes on compiling until a door has seen some 20,000 logins, at a tenth of what each costs */
  warmUp: number
}

export type IdleWorkload = { name: string; title: string; door: Door }

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
  { name: 'login', title: 'login + logout, clear', operation: 'login', door: 'imap', connections: BUSY, warmUp: 20000 },
  {
    name: 'login-tls',
    title: 'login + logout, TLS full',
    operation: 'login',
    door: 'imaps',
    connections: BUSY_DESPITE_NAGLE,
    warmUp: 4000,
  },
  {
    name: 'login-tls-resumed',
    title: 'login + logout, TLS resumed',
    operation: 'login',
    door: 'imaps',
    resume: true,
    connections: BUSY_DESPITE_NAGLE,
    warmUp: 4000,
  },
  {
    name: 'login-pop3',
    title: 'POP3 login + quit, clear',
    operation: 'login',
    door: 'pop3',
    connections: BUSY,
    warmUp: 20000,
  },
  { name: 'noop', title: 'NOOP, clear', operation: 'noop', door: 'imap', connections: FEW, warmUp: 10000 },
  { name: 'noop-tls', title: 'NOOP, TLS', operation: 'noop', door: 'imaps', connections: FEW, warmUp: 10000 },
  { name: 'fetch', title: 'FETCH 1 MiB, clear', operation: 'fetch', door: 'imap', connections: BUSY, warmUp: 300 },
  { name: 'fetch-tls', title: 'FETCH 1 MiB, TLS', operation: 'fetch', door: 'imaps', connections: BUSY, warmUp: 300 },
  { name: 'append', title: 'APPEND 1 MiB, clear', operation: 'append', door: 'imap', connections: BUSY, warmUp: 300 },
  {
    name: 'append-tls',
    title: 'APPEND 1 MiB, TLS',
    operation: 'append',
    door: 'imaps',
    connections: BUSY,
    warmUp: 300,
  },
]

export const idleWorkloads: IdleWorkload[] = [
  { name: 'idle', title: 'idle session, clear', door: 'imap' },
  { name: 'idle-tls', title: 'idle session, TLS', door: 'imaps' },
]

/** A login among 10 sessions, and among 10,000 or what the limit of open files leaves room for. */
export function buildCrowdWorkloads(possibleSessions: number): Workload[] {
  const login = workloads.find(({ name }) => name === 'login')!
  const many = Math.min(10_000, possibleSessions - 2 * BUSY)
  return [
    { ...login, name: 'login-among-few', title: 'login + logout among 10 sessions', present: 10 },
    {
      ...login,
      name: 'login-among-many',
      title: `login + logout among ${many.toLocaleString('en-US')} sessions`,
      present: many,
    },
  ]
}
