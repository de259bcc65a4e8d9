/** This instance among the others of its site: its heartbeat and its answers to their questions. */
import type { EndedAnswer, InstancesAnswer, MovesAnswer } from '../admin/answers.ts'
import type { LimitsListed } from '../admin/limit-routes.ts'
import type { SessionAnswers } from '../admin/session-routes.ts'
import type { TraceOrders } from '../admin/trace-routes.ts'
import { toEpochMs } from '../clock.ts'
import type { DirectorySettings, RedisSettings, Settings } from '../config/settings.ts'
import { mustReplace } from '../directory/replaceable.ts'
import type { NoteShortage } from '../errors.ts'
import { openCurrentInstances } from '../instances/current-instances.ts'
import type { OpenExchange } from '../instances/exchange.ts'
import type { Facts } from '../instances/messages.ts'
import { quiesceKind } from '../instances/quiesce-question.ts'
import { redisExchange } from '../instances/redis-exchange.ts'
import type { Usage } from '../limits/usage.ts'
import type { Log } from '../log.ts'
import { withElderFacts } from './generation/elders.ts'
import type { GenerationAnswers, Of } from './generation/messages.ts'
import { askForLimits } from './limit-questions.ts'
import { askForBlocks, askForMoves, askForSessions } from './site-questions.ts'
import { askForTraces } from './trace-questions.ts'
import type { WorkerPool } from './worker-pool.ts'

export type Site = {
  instances: () => Promise<InstancesAnswer>
  /** of all instances */
  answers: SessionAnswers
  questions: {
    traces: TraceOrders
    /** those of all instances that are nearest to a limit on clients */
    limits: (most: number) => Promise<LimitsListed>
  }
  /** the runs of `mailmux move` that any instance was told of */
  moves: () => Promise<MovesAnswer>
  /** Has all instances read the store of blocks. */
  refreshBlocks: () => Promise<EndedAnswer>
  /** number of instances with a heartbeat; 1 while the others are not known */
  count: () => number
  /** The instances of another directory are the others from now on. */
  follow: (settings: Settings) => void
  /** Tells the others that this instance stops in order. */
  leave: () => Promise<void>
  /** the answers of this generation, and of those before it */
  generations: Omit<GenerationAnswers, 'readings'>
}

export type SiteParts = {
  /** of this instance, 12 hex digits */
  id: string
  pool: Pick<WorkerPool, 'states' | 'sessions' | 'endSessions' | 'quiesce' | 'trace'>
  /** the settings in force */
  settings: () => Settings
  /** the name of this machine */
  host: string
  pid: number
  /** 1, and one more after each upgrade */
  generation: number
  /** the generations before this one that have not ended */
  elders: Omit<GenerationAnswers, 'readings'>
  version: string
  /** those that this instance was told of */
  moves: () => MovesAnswer
  /** those of this instance that are nearest to a limit on clients */
  usage: (most: number) => Usage[]
  /** Reads the store of blocks. */
  refreshBlocks: () => Promise<EndedAnswer>
  log: Log
  noteShortage: NoteShortage
}

/** Connects in the background. */
export function joinSite(parts: SiteParts): Site {
  const { id, pool, settings, host, pid, version, generation, elders, moves, usage, refreshBlocks, log, noteShortage } =
    parts
  const since = Math.round(toEpochMs(0) / 1000) // the start of the process
  async function facts(): Promise<Facts> {
    const sessions = await pool.sessions({ limit: 0 }).catch(() => undefined)
    return {
      pid,
      version,
      generation,
      workers: pool.states().length,
      ...(sessions && { sessions: sessions.total }),
      since,
    }
  }
  let inUse: InUse = { directory: settings().directory }
  const instances = openCurrentInstances({
    host,
    id,
    facts,
    openExchange: exchangeOf(inUse, log, noteShortage),
    alone: 'the directory is not Redis',
    log,
  })
  const own: SessionAnswers = {
    sessions: async (filter) => ({ ...(await pool.sessions(filter)), generation }),
    endSessions: pool.endSessions,
  }
  const of = <A>(answer: A): Of<A> => ({ instance: instances.name, generation, answer })
  instances.register(quiesceKind(({ user, backend, token }) => pool.quiesce({ user, backend, token })))
  return {
    async instances() {
      const [{ instances: listed, scope, incomplete: why }, older] = await Promise.all([
        instances.list(),
        elders.facts(),
      ])
      return {
        instances: withElderFacts(listed, older).map(({ since: at, isSelf, ...rest }) => ({
          ...rest,
          self: isSelf,
          ...(at !== undefined && { sinceMs: at * 1000 }),
        })),
        scope,
        ...(why !== undefined && { why }),
      }
    },
    answers: askForSessions(instances, own, log, elders),
    moves: askForMoves(instances, moves),
    questions: {
      traces: askForTraces(instances, pool.trace, log, elders),
      limits: askForLimits(instances, usage),
    },
    refreshBlocks: askForBlocks(instances, refreshBlocks),
    count: instances.count,
    leave: instances.close,
    follow({ directory }) {
      if (mustReplace(inUse.directory, directory)) {
        inUse = { directory }
        instances.moveTo(exchangeOf(inUse, log, noteShortage))
      } else inUse.directory = directory
    },
    generations: {
      facts: async () => [of(await facts()), ...(await elders.facts())],
      sessions: async (filter) => [of(await own.sessions(filter)), ...(await elders.sessions(filter))],
      trace: async (order) => [of(await pool.trace(order)), ...(await elders.trace(order))],
      endSessions: async (order) => [of(await own.endSessions(order)), ...(await elders.endSessions(order))],
    },
  }
}

/** The settings of an open exchange: passwords and keys of now. Another one has settings of its own, which must not reach this server. */
type InUse = { directory: DirectorySettings }

function exchangeOf(inUse: InUse, log: Log, noteShortage: NoteShortage): OpenExchange | undefined {
  const { directory } = inUse
  if (directory.kind !== 'redis') return undefined
  const current = (): RedisSettings => (inUse.directory.kind === 'redis' ? inUse.directory : directory)
  return redisExchange({ settings: directory, current, log, noteShortage })
}
