/**
 * The directory in force, which a reload may replace. The next one is opened and connected first (`prepare`). When it comes into force,
 * each call that begins goes to it. Calls under way end at the old one, which is then closed.
 *
 * What the old one remembers does not count any more: a lookup that it answers from memory, or not at all, after the change is asked
 * again at the new one.
 */
import type { DirectorySettings } from '../config/settings.ts'
import { MuxError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Text } from '../octets.ts'
import type { Directory, DirectoryAnswer, DirectoryMonitor } from './directory.ts'
import { holdReports, type HeldReports } from './held-reports.ts'
import { openDirectory } from './open-directory.ts'
import type { OtherWorkers } from './remembered/stand-ins.ts'
import { mustReplace, storeOf } from './replaceable.ts'

/** How long a reload waits for the next directory. A server that needs longer would delay logins. */
const REACH_MS = 5000
/** A worker answers the supervisor within both times: its settings allow an answer of Redis to take longer than they do. */
const CHECK_MS = 3000
/** A call ends within the timeouts of its directory, which are seconds. After this time the old directory is closed nevertheless. */
const CALLS_MS = 60_000

/** The other workers of the instance, as far as they use the same store. */
export type WorkersOfStores = { of: (store: string) => OtherWorkers & { close: () => void } }

export type CurrentDirectory = Directory &
  Required<Pick<Directory, 'isEmpty' | 'onRouteChanged' | 'onBackendChanged' | 'backendState'>> & {
    /** the one that is in force now */
    inForce: () => Directory
    /** identifies the store of the one in force */
    store: () => string
    /** Opens and connects the directory of these settings, if they need another one. @throws Error for the operator; then none is prepared */
    prepare(settings: DirectorySettings): Promise<void>
    /** Closes what is prepared. */
    discard(): void
    /** Puts the directory of these settings into force; opens it if it is not prepared. */
    enter(settings: DirectorySettings): void
  }

type Opened = {
  settings: DirectorySettings
  directory: Directory
  reports: HeldReports
  link: { close: () => void } | undefined
  calls: number
  idle: PromiseWithResolvers<undefined> | undefined
}

type Parts = {
  log: Log
  monitor: DirectoryMonitor
  /** undefined if there is one worker */
  others: WorkersOfStores | undefined
  /** for tests */
  open?: typeof openDirectory
  reachMs?: number
  checkMs?: number
}

export function openCurrentDirectory(first: DirectorySettings, parts: Parts): CurrentDirectory {
  const { log, monitor, others, open = openDirectory, reachMs = REACH_MS, checkMs = CHECK_MS } = parts
  let hearRoute: (user: Text | undefined) => void = () => undefined
  let hearBackend: (backend: string | undefined) => void = () => undefined
  /** those that close when their calls have ended */
  const retired = new Map<Opened, Promise<void>>()
  let candidate: Opened | undefined
  let current = openOne(first)
  current.reports.release()

  function openOne(settings: DirectorySettings): Opened {
    const reports = holdReports(log, monitor)
    const link = settings.kind === 'redis' ? others?.of(storeOf(settings)) : undefined
    const directory = open(settings, reports.log, reports.monitor, link) ?? noDirectory(reports.monitor)
    const one = { settings, directory, reports, link, calls: 0, idle: undefined }
    directory.onRouteChanged?.((user) => {
      if (one === current) hearRoute(user)
    })
    directory.onBackendChanged?.((backend) => {
      if (one === current) hearBackend(backend)
    })
    return one
  }

  /** Closes it when its calls have ended. */
  function retire(one: Opened): void {
    one.reports.drop()
    const closed = calm(one)
      .then(() => one.directory.close({ isReplaced: true }))
      .finally(() => {
        one.link?.close()
        retired.delete(one)
      })
    retired.set(one, closed)
  }

  async function calm(one: Opened): Promise<void> {
    if (one.calls === 0) return
    one.idle = Promise.withResolvers()
    const timer = setTimeout(one.idle.resolve, CALLS_MS, undefined).unref()
    await one.idle.promise
    clearTimeout(timer)
  }

  async function use<T>(one: Opened, call: (directory: Directory) => Promise<T>): Promise<T> {
    one.calls++
    try {
      return await call(one.directory)
    } finally {
      leave(one)
    }
  }

  function leave(one: Opened): void {
    if (--one.calls === 0) one.idle?.resolve(undefined)
  }

  async function lookup(...question: Parameters<Directory['lookup']>): Promise<DirectoryAnswer> {
    for (;;) {
      const asked = current
      asked.calls++
      try {
        const answer = await asked.directory.lookup(...question)
        // An answer that the old directory gave itself counts: the lookup began while it was in force.
        if (asked === current || answer.source === 'directory') return answer
      } catch (error) {
        if (asked === current || !isAway(error)) throw error
      } finally {
        leave(asked)
      }
    }
  }

  function discard(): void {
    if (!candidate) return
    retire(candidate)
    candidate = undefined
  }

  /** @throws Error with the reason, if it cannot answer */
  async function reach({ directory }: Opened): Promise<void> {
    await orAfter(reachMs, directory.connected, () => undefined)
    const silent = new MuxError('directory-unavailable', `no answer within ${checkMs} ms`)
    await orAfter(checkMs, directory.check?.() ?? Promise.resolve(), () => Promise.reject(silent))
  }

  return {
    inForce: () => current.directory,
    store: () => storeOf(current.settings),
    async prepare(settings) {
      if (candidate && mustReplace(candidate.settings, settings)) discard()
      if (!mustReplace(current.settings, settings)) {
        discard()
        return
      }
      const one = (candidate ??= openOne(settings))
      try {
        await reach(one)
      } catch (error) {
        if (candidate === one) discard()
        const cause = error instanceof Error ? error.message : String(error)
        throw new Error(`the new directory cannot be used: ${cause}`, { cause: error })
      }
    },
    discard,
    enter(settings) {
      if (candidate && mustReplace(candidate.settings, settings)) discard()
      if (mustReplace(current.settings, settings)) {
        const before = current
        current = candidate ?? openOne(settings)
        candidate = undefined
        retire(before)
        current.reports.release()
        log.info({ kind: settings.kind }, 'directory replaced')
        hearRoute(undefined)
        hearBackend(undefined)
      } else discard()
      current.settings = settings
      current.directory.renew?.(settings)
    },
    // What follows forwards to the directory in force.
    connected: current.directory.connected,
    lookup,
    isEmpty: () => current.directory.isEmpty?.() === true,
    reserve: (user, backend, forMs) =>
      use(current, async (directory) => {
        if (!directory.reserve) throw new MuxError('directory-unavailable', 'this directory remembers no new users')
        return directory.reserve(user, backend, forMs)
      }),
    commit: (user, backend) =>
      use(current, async (directory) => {
        if (!directory.commit)
          throw new MuxError('directory-unavailable', 'the directory was replaced during the login')
        return directory.commit(user, backend)
      }),
    reassign: (user, from, to) => use(current, async (directory) => directory.reassign?.(user, from, to)),
    backendState: (backend) => use(current, async (directory) => directory.backendState?.(backend)),
    lastKnown: (user) => current.directory.lastKnown?.(user),
    invalidate: (user) => current.directory.invalidate(user),
    onRouteChanged: (hear) => (hearRoute = hear),
    onBackendChanged: (hear) => (hearBackend = hear),
    async close() {
      discard()
      for (const one of retired.keys()) one.idle?.resolve(undefined)
      current.link?.close()
      await Promise.all([current.directory.close(), ...retired.values()])
    },
  }
}

/** What comes first: the promise, or what `late` gives after this time. */
async function orAfter(ms: number, promise: Promise<void>, late: () => Promise<void> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const after = new Promise<void>((resolve) => {
    timer = setTimeout(() => resolve(late()), ms)
  })
  await Promise.race([promise, after]).finally(() => clearTimeout(timer))
}

function isAway(error: unknown): boolean {
  return error instanceof MuxError && error.code === 'directory-unavailable'
}

/** Routes are only in the routing file: this has none. */
function noDirectory(monitor: DirectoryMonitor): Directory {
  monitor.directoryIsUp(true)
  return {
    connected: Promise.resolve(),
    lookup: () => Promise.resolve({ entry: undefined, source: 'directory' }),
    isEmpty: () => true,
    invalidate: () => undefined,
    close: () => Promise.resolve(),
  }
}
