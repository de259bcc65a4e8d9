/** This instance among the others of its site: its heartbeat and its answers to their questions. */
import type { InstancesAnswer, MovesAnswer } from '../admin/answers.ts'
import type { SessionAnswers } from '../admin/session-routes.ts'
import { toEpochMs } from '../clock.ts'
import type { Settings } from '../config/settings.ts'
import type { NoteShortage } from '../errors.ts'
import { openInstances } from '../instances/instances.ts'
import type { OpenExchange } from '../instances/exchange.ts'
import type { Facts } from '../instances/messages.ts'
import { quiesceKind } from '../instances/quiesce-question.ts'
import { redisExchange } from '../instances/redis-exchange.ts'
import type { Log } from '../log.ts'
import { askForMoves, askForSessions } from './site-questions.ts'
import type { WorkerPool } from './worker-pool.ts'

export type Site = {
  instances: () => Promise<InstancesAnswer>
  /** of all instances */
  answers: SessionAnswers
  /** the runs of `mailmux move` that any instance was told of */
  moves: () => Promise<MovesAnswer>
  /** number of instances with a heartbeat; 1 while the others are not known */
  count: () => number
  /** Tells the others that this instance stops in order. */
  leave: () => Promise<void>
}

export type SiteParts = {
  /** of this instance, 12 hex digits */
  id: string
  pool: Pick<WorkerPool, 'states' | 'sessions' | 'endSessions' | 'quiesce'>
  /** the settings in force, with the directory settings of the start */
  settings: () => Settings
  /** the name of this machine */
  host: string
  pid: number
  version: string
  /** those that this instance was told of */
  moves: () => MovesAnswer
  log: Log
  noteShortage: NoteShortage
}

/** Of this program; an upgrade without a stop would start the next. */
const GENERATION = 1

/** Connects in the background. */
export function joinSite({ id, pool, settings, host, pid, version, moves, log, noteShortage }: SiteParts): Site {
  const since = Math.round(toEpochMs(0) / 1000) // the start of the process
  async function facts(): Promise<Facts> {
    const sessions = await pool.sessions({ limit: 0 }).catch(() => undefined)
    return {
      pid,
      version,
      generation: GENERATION,
      workers: pool.states().length,
      ...(sessions && { sessions: sessions.total }),
      since,
    }
  }
  const instances = openInstances({
    host,
    id,
    facts,
    openExchange: exchangeOf(settings, log, noteShortage),
    alone: 'the directory is not Redis',
    log,
  })
  instances.register(quiesceKind(({ user, backend, token }) => pool.quiesce({ user, backend, token })))
  return {
    async instances() {
      const { instances: listed, scope, incomplete: why } = await instances.list()
      return {
        instances: listed.map(({ since: at, isSelf, ...rest }) => ({
          ...rest,
          self: isSelf,
          ...(at !== undefined && { sinceMs: at * 1000 }),
        })),
        scope,
        ...(why !== undefined && { why }),
      }
    },
    answers: askForSessions(instances, pool, log),
    moves: askForMoves(instances, moves),
    count: instances.count,
    leave: instances.close,
  }
}

function exchangeOf(settings: () => Settings, log: Log, noteShortage: NoteShortage): OpenExchange | undefined {
  const { directory } = settings()
  if (directory.kind !== 'redis') return undefined
  const current = (): typeof directory => {
    const { directory: next } = settings()
    return next.kind === 'redis' ? next : directory
  }
  return redisExchange({ settings: directory, current, log, noteShortage })
}
