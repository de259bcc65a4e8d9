/**
 * Instances of a model: users log in, stay for a while, and are disconnected by the rules that mailmux keeps. An instance may be killed
 * or stand still for a time. It checks at each moment that the user is served by one store.
 */
import type { Fleet, Members, Told } from '../../../src/move/instances.ts'
import { between } from '../../support/random.ts'
import type { VirtualClock } from '../../support/virtual-clock.ts'
import type { ModelDirectory } from './model.ts'

/** Of a login: from the command to the answer of the back end. */
export const LOGIN_MS = 20_000
export const HEARTBEAT_MS = 15_000
const POLL_MS = 500
/** After a crash, until the list of lost instances does not name it any more. */
const SEEN_TO_MS = 30_000

/** `store` undefined: the route is being looked up. */
type Login = { store: string | undefined; isServed: boolean; isWaiting: boolean }

type Instance = {
  id: string
  isDead: boolean
  frozenAtMs: number | undefined
  thawed: Promise<void>
  heartbeatMs: number
  /** until then it is cut off from the directory */
  cutUntilMs: number
  /** what it remembers of the last lookup */
  remembered: string
  /** when it was killed */
  endedMs: number
  logins: Set<Login>
}

export type ModelFleet = Fleet & {
  /** the stores that serve the user now */
  served: () => Set<string>
  kill: () => void
  freeze: (ms: number) => void
  /** It does not reach the directory for a time, and goes on serving. */
  cutOff: (ms: number) => void
  start: () => void
}

class Ended extends Error {}

/** @param onServed gets the stores that serve the user, whenever a session is served */
export function createModelFleet(
  clock: VirtualClock,
  directory: ModelDirectory,
  random: () => number,
  onServed: (stores: ReadonlySet<string>) => void,
): ModelFleet {
  const instances: Instance[] = []
  const running = (): Instance[] => instances.filter(({ isDead }) => !isDead)
  const hasHeartbeat = ({ heartbeatMs }: Instance): boolean => heartbeatMs > clock.nowMs()
  const members = (): Members => ({
    live: instances.filter(hasHeartbeat).map(({ id }) => id),
    // An operator has seen to those that have ended, after a while.
    lost: instances.filter((one) => !hasHeartbeat(one) && clock.nowMs() - one.endedMs < SEEN_TO_MS).map(({ id }) => id),
  })
  const isCut = ({ cutUntilMs }: Instance): boolean => cutUntilMs > clock.nowMs()

  function served(): Set<string> {
    const stores = running().flatMap(({ frozenAtMs, logins }) =>
      frozenAtMs === undefined ? [...logins].flatMap(({ store, isServed }) => (store && isServed ? [store] : [])) : [],
    )
    return new Set(stores)
  }

  function start(): void {
    const instance: Instance = {
      id: `web${instances.length + 1}`,
      isDead: false,
      frozenAtMs: undefined,
      thawed: Promise.resolve(),
      heartbeatMs: clock.nowMs() + HEARTBEAT_MS,
      cutUntilMs: -Infinity,
      remembered: directory.route(),
      endedMs: Infinity,
      logins: new Set(),
    }
    instances.push(instance)
    /** Time as the instance sees it. @returns whether it stood still for longer than its heartbeat lasts */
    async function wait(ms: number): Promise<boolean> {
      await clock.sleep(ms)
      const { frozenAtMs } = instance
      if (frozenAtMs !== undefined) await instance.thawed
      if (instance.isDead) throw new Ended()
      return frozenAtMs !== undefined && clock.nowMs() - frozenAtMs > HEARTBEAT_MS
    }

    /** While it is cut off, users keep their last route. */
    function lookUp(): string {
      if (!isCut(instance)) instance.remembered = directory.route()
      return instance.remembered
    }

    async function beat(): Promise<void> {
      for (;;) {
        if (!isCut(instance)) instance.heartbeatMs = clock.nowMs() + HEARTBEAT_MS
        await wait(5000)
      }
    }

    async function logIn(): Promise<void> {
      const login: Login = { store: undefined, isServed: false, isWaiting: false }
      instance.logins.add(login)
      try {
        const store = await findRoute(login)
        if (store === undefined) return
        login.store = store
        const dialledMs = clock.nowMs()
        await wait(between(random, 5, 3000))
        // Deadlines are due before anything else after a standstill.
        if (clock.nowMs() - dialledMs > LOGIN_MS) return
        await stay(login, store)
      } finally {
        instance.logins.delete(login)
      }
    }

    async function findRoute(login: Login): Promise<string | undefined> {
      const startMs = clock.nowMs()
      while (clock.nowMs() - startMs < 45_000) {
        const route = lookUp()
        await wait(between(random, 1, 20))
        if (route !== 'hold') return route
        login.isWaiting = true
        await wait(POLL_MS)
        login.isWaiting = false
      }
      return undefined
    }

    async function stay(login: Login, store: string): Promise<void> {
      const endMs = clock.nowMs() + between(random, 1000, 40_000)
      // Where the user's client is in the middle of a command, for so long.
      const busyMs = between(random, 0, 5000)
      let heldMs: number | undefined
      while (clock.nowMs() < endMs) {
        login.isServed = true
        onServed(served())
        const hasStalled = await wait(POLL_MS)
        const route = isCut(instance) ? store : lookUp()
        if (route === 'hold') heldMs ??= clock.nowMs()
        else if (route !== store) return
        if (route === 'hold' && (hasStalled || clock.nowMs() - (heldMs ?? 0) >= busyMs)) return
      }
    }

    async function clients(): Promise<void> {
      for (;;) {
        await wait(between(random, 100, 15_000))
        void logIn().catch(ignoreEnd)
      }
    }
    void beat().catch(ignoreEnd)
    void clients().catch(ignoreEnd)
  }

  async function quiesce(_user: string, backend: string): ReturnType<Fleet['quiesce']> {
    const { live } = members()
    const told = new Map<string, Told>()
    await clock.sleep(between(random, 1, 20))
    for (const one of running()) {
      const { id, frozenAtMs, logins } = one
      if (frozenAtMs !== undefined || isCut(one) || random() < 0.05) continue
      const isBusy = ({ store, isWaiting }: Login): boolean => !isWaiting && (store === undefined || store === backend)
      const left = [...logins].filter(isBusy).length
      told.set(id, left === 0 ? 'clear' : { left })
    }
    if (!live.every((id) => told.has(id))) await clock.sleep(2000)
    return { ...members(), told }
  }

  return {
    list: () => Promise.resolve(members()),
    quiesce,
    served,
    start,
    kill() {
      const one = running()[between(random, 0, 2)]
      if (!one) return
      one.isDead = true
      one.endedMs = clock.nowMs()
    },
    cutOff(ms) {
      const one = running()[between(random, 0, 2)]
      if (one) one.cutUntilMs = clock.nowMs() + ms
    },
    freeze(ms) {
      const one = running()[between(random, 0, 2)]
      if (!one || one.frozenAtMs !== undefined) return
      one.frozenAtMs = clock.nowMs()
      for (const login of one.logins) login.isServed = false
      one.thawed = clock.sleep(ms).then(() => void (one.frozenAtMs = undefined))
    },
  }
}

function ignoreEnd(error: unknown): void {
  if (!(error instanceof Ended)) throw error
}
