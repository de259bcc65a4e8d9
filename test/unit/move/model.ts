/** What a move works with, in memory: the directory with the scripts' meaning, instances, a copy command, and the user's mailbox. */
import { MuxError } from '../../../src/errors.ts'
import type { MoveStore, UserRecord } from '../../../src/directory/redis/move-store.ts'
import type { Fleet, FleetRound, Told } from '../../../src/move/instances.ts'
import { DEFAULT_DEADLINES, type MoveEvent, type MoveParts } from '../../../src/move/move-user.ts'
import type { PassResult } from '../../../src/move/passes.ts'
import { createVirtualClock, type VirtualClock } from '../../support/virtual-clock.ts'

export const ORDER = { user: 'ann', from: 'store1', to: 'store2' }

type Hash = { backend?: string; status?: string; hold?: { token: string; till: number; by: string; since: number } }

/** Not carried out; carried out and not answered; carried out so many milliseconds after the caller has given up. */
export type Fault = 'lost-before' | 'lost-after' | { lateMs: number }

export type ModelDirectory = MoveStore & {
  hash: Hash
  /** the back end for a new login, or `hold`: it must wait */
  route: () => string
  isHeld: () => boolean
  /** called before each request with its name */
  fault: (request: keyof MoveStore) => Fault | undefined
}

export function createModelDirectory(clock: VirtualClock): ModelDirectory {
  const now = (): number => Math.floor(clock.nowMs() / 1000)
  const left = ({ status, hold }: Hash): number => (status === 'hold' && hold ? hold.till - now() : 0)
  async function ask<T>(request: keyof MoveStore, work: (hash: Hash) => T): Promise<T> {
    const fault = directory.fault(request)
    await clock.sleep(1)
    if (fault === 'lost-before') return lose()
    if (typeof fault === 'object') {
      void clock.sleep(500 + fault.lateMs).then(() => work(directory.hash))
      return lose()
    }
    const answer = work(directory.hash)
    if (fault === 'lost-after') return lose()
    return answer
  }
  async function lose(): Promise<never> {
    await clock.sleep(500)
    throw new MuxError('directory-unavailable', 'Redis: no answer in time')
  }
  const directory: ModelDirectory = {
    hash: { backend: ORDER.from },
    fault: () => undefined,
    isHeld: () => left(directory.hash) > 0,
    route: () => (left(directory.hash) > 0 ? 'hold' : (directory.hash.backend ?? '')),
    take: (_user, from, token, by, forSeconds) =>
      ask('take', (hash) => {
        if (hash.backend === undefined) return { kind: 'unknown' }
        if (hash.status === 'hold' && !hash.hold) return { kind: 'held', by: undefined, sinceSeconds: undefined }
        if (left(hash) > 0 && hash.hold && hash.hold.token !== token)
          return { kind: 'held', by: hash.hold.by, sinceSeconds: hash.hold.since }
        if (hash.status === 'disabled') return { kind: 'status', status: hash.status }
        if (hash.backend !== from) return { kind: 'elsewhere', backend: hash.backend }
        hash.status = 'hold'
        hash.hold = { token, till: now() + forSeconds, by, since: now() }
        return { kind: 'taken' }
      }),
    renew: (_user, token, forSeconds) =>
      ask('renew', (hash) => {
        if (left(hash) <= 0 || !hash.hold || hash.hold.token !== token) return false
        hash.hold.till = now() + forSeconds
        return true
      }),
    switch: (_user, token, from, to) =>
      ask('switch', (hash) => {
        if (left(hash) <= 0 || hash.hold?.token !== token || hash.backend !== from)
          return { kind: 'lost', backend: hash.backend }
        directory.hash = { backend: to }
        return { kind: 'switched' }
      }),
    release: (_user, token) =>
      ask('release', (hash) => {
        if (hash.hold?.token === token) {
          delete hash.hold
          if (hash.status === 'hold') delete hash.status
        }
        return hash.backend
      }),
    read: () =>
      ask('read', (hash): UserRecord => {
        const { backend, status, hold } = hash
        const held = hold && left(hash) > 0 ? { by: hold.by, sinceSeconds: hold.since } : undefined
        return { backend, status, hold: held }
      }),
  }
  return directory
}

/** Two instances, of which none has a session. */
export const quietFleet: Fleet = {
  list: () => Promise.resolve({ live: ['web1', 'web2'], lost: [] }),
  quiesce: () => Promise.resolve(round({ web1: 'clear', web2: 'clear' })),
}

/** @param told by instances. @param silent that have a heartbeat. @param lost that have none */
export function round(told: Record<string, Told>, silent: string[] = [], lost: string[] = []): FleetRound {
  return { live: [...Object.keys(told), ...silent], lost, told: new Map(Object.entries(told)) }
}

export const exit = (code: number, stderr = ''): PassResult => ({ end: { code }, stderr })

export type Scene = {
  clock: VirtualClock
  directory: ModelDirectory
  events: MoveEvent[]
  /** the passes that have run */
  passes: (number | 'final')[]
  /** @param over in place of what succeeds */
  parts: (over?: Partial<MoveParts>) => MoveParts
}

export function createScene(): Scene {
  const clock = createVirtualClock()
  const directory = createModelDirectory(clock)
  const events: MoveEvent[] = []
  const passes: (number | 'final')[] = []
  let moves = 0
  return {
    clock,
    directory,
    events,
    passes,
    parts: (over = {}) => ({
      store: directory,
      fleet: quietFleet,
      fleetRules: { deadAfterMs: Infinity, isOffline: false },
      check: () => Promise.resolve([]),
      async run(_order, pass) {
        passes.push(pass)
        await clock.sleep(200)
        return exit(0)
      },
      settleMs: 0,
      deadlines: { ...DEFAULT_DEADLINES, end: 120_000 },
      clock,
      newToken: () => String(++moves).padStart(32, '0'),
      by: 'admin1/4711',
      tell: (event) => events.push(event),
      ...over,
    }),
  }
}
