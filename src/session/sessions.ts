/** All sessions of this process: runs them, answers the errors that end them, lists them, and ends them. */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { ClientConnection } from '../client/connection.ts'
import { asMuxError } from '../errors.ts'
import { isRejection, type Lease } from '../limits/rejection.ts'
import { plainAddress } from '../net/address.ts'
import type { ListenerContext, World } from '../world.ts'
import { askAdmission, type Admission } from './admit.ts'
import type { Ending } from './events.ts'
import { buildMatcher, type SessionFilter } from './filter.ts'
import { chooseShare, type Rebalance } from './rebalance.ts'
import { goodbyeFor } from './goodbye.ts'
import { serve } from './serve.ts'
import type { Services } from './services.ts'
import { Session, type EndReason, type SessionReport } from './session.ts'
import { createSpread, gradualMs, windowMs, type Spread, type SpreadOrder } from './spread.ts'
import { createTurnAway } from './turn-away.ts'

/** `now`: sessions with a command in progress are cut at once. */
export type EndOptions = { now?: boolean | undefined }

/**
 * Connections over the limit that are still being closed, to make room for new ones. They have no back end, and the limit leaves a
 * descriptor for one.
 */
const MOST_OVER = 64
/** How often the sessions are looked for whose turn to end has come. */
const SPREAD_EVERY_MS = 100
/** How often a drain looks for sessions that have logged in since. A second of them is a small part of any grace. */
const TELL_EVERY_MS = 1000

export type SessionList = { sessions: SessionReport[]; total: number; unconnected?: number }

export type Sessions = {
  /** Takes over a socket that the listener of this name has accepted. */
  accept: (socket: Socket, listener: string) => void
  /**
   * The oldest first, at most `limit`; `total` is the number of matching sessions, and `unconnected` of those that have no connection to a
   * back end, if there are any.
   */
  list: (filter: SessionFilter & { limit: number }) => SessionList
  /** all of them, the oldest first */
  readonly running: Iterable<Session>
  /** number of sessions, before and after login */
  count: () => number
  /** Ends the matching sessions, each as soon as that is safe, and at the latest after `limits.end_timeout`. @returns how many match */
  end: (filter: SessionFilter, why: EndReason, how?: EndOptions) => number
  /** Ends a share of the matching sessions that relay over a window, each as soon as that is safe. @returns how many */
  rebalance: (filter: SessionFilter, how: Rebalance) => number
  /** Ends these sessions over a window, each as soon as that is safe. */
  endOver: (sessions: readonly Session[], order: SpreadOrder) => void
  /** Takes back the orders of `endOver` that match and whose turn has not come. */
  takeBack: Spread<Session>['takeBack']
  /**
   * Ends every session as soon as that is safe: sessions before login at once, the others over `limits.spread_disconnects`, of which it
   * takes no more than half of `graceMs`.
   * After `graceMs` the remaining sessions are cut off. May be called again, to end them sooner.
   * @param mayLogIn sessions before login may log in, within the same grace, and end at a safe point afterwards. After the grace those
   *   that have not get their goodbye
   */
  drain(graceMs: number, how?: { mayLogIn: boolean }): Promise<void>
}

/** @param world gives the configuration in force, read once for each connection */
export function createSessions(world: () => World, services: Services): Sessions {
  const { events, maxConnections, traces, loginChannel } = services
  const turnAway = createTurnAway(events)
  const running = new Set<Session>()
  /** connections that are no sessions yet, as the limits have not answered */
  let asking = 0
  const spread = createSpread<Session>(() => performance.now())
  let spreading: NodeJS.Timeout | undefined
  // Unique across instances and restarts, and short enough to be read out over the telephone.
  const prefix = randomBytes(4).toString('hex')
  let counter = 0
  const onEmpty = new Set<() => void>()

  async function run(session: Session): Promise<void> {
    let ending: Ending
    let detail: string | undefined
    try {
      ending = await serve(session, services)
    } catch (thrown) {
      const error = asMuxError(thrown)
      const goodbye = goodbyeFor(error)
      if (goodbye) session.dialogue?.goodbye(goodbye)
      ending = { cause: error.code, bytesFromClient: 0, bytesFromBackend: 0 }
      detail = error.message
      if (error.code === 'internal') events.emit({ type: 'failed', session, error })
    }
    const { cutError } = session
    if (cutError) {
      ending = { ...ending, cause: cutError.code, cut: true }
      detail = cutError.message
    }
    // Until its socket is closed the session is listed, and a shutdown waits for it.
    session.close(() => {
      running.delete(session)
      spread.forget(session)
      if (running.size > 0) return
      for (const settle of onEmpty) settle()
      onEmpty.clear()
    })
    // A load balancer's probes are neither logged nor counted, or they would be most of both.
    if (!session.connection.isHealthCheck && !session.isTurnedAway)
      events.emit({ type: 'ended', session, ending, detail })
    session.trace?.close()
  }

  /** @param lease what the connection holds of limits */
  function begin(socket: Socket, id: string, born: World, context: ListenerContext, lease: Lease | undefined): void {
    if (socket.destroyed) return lease?.release() // while the limits were asked
    const connection = new ClientConnection(socket, context, (version, resumed, outcome) =>
      events.emit(outcome === 'ok' ? { type: 'secured', version, resumed } : { type: 'handshake-failed' }),
    )
    const session = new Session(id, connection, context, born, events)
    session.lease = lease
    running.add(session)
    if (traces?.isOn) traces.begin(session)
    loginChannel?.follow()
    void run(session)
  }

  /** The timer runs only while sessions wait for their turn. */
  function endOver(sessions: readonly Session[], order: SpreadOrder): void {
    spread.add(sessions, order)
    spreading ??= setInterval(() => {
      spread.sweep()
      if (spread.size > 0) return
      clearInterval(spreading)
      spreading = undefined
    }, SPREAD_EVERY_MS).unref()
  }

  return {
    accept(socket, listener) {
      const id = `${prefix}-${(counter++).toString(36)}`
      const born = world()
      const context = born.listeners.get(listener)
      socket.on('error', ignore) // for life: between two owners of the socket an error would otherwise end the process
      // A client that has closed already has no address, and can be told nothing.
      if (!context || socket.remoteAddress === undefined) return void socket.destroy()
      const max = maxConnections()
      const taken = running.size + asking
      if (taken >= max) {
        const isRoom = taken < max + MOST_OVER && services.logins.heldBack.endOldest()
        if (!isRoom) {
          turnAway.full(socket, context.settings, max)
          return
        }
        events.emit({ type: 'room-made', listener, max })
      }
      // Behind a proxy the address of the client is not known yet.
      if (context.settings.proxyProtocol === 'required') {
        begin(socket, id, born, context, undefined)
        return
      }
      const address = plainAddress(socket.remoteAddress)
      const goOn = (admission: Admission): void => {
        if (isRejection(admission)) turnAway.rejected(socket, context.settings, address, admission)
        else begin(socket, id, born, context, admission)
      }
      const asked = askAdmission(context, address, services)
      if (!(asked instanceof Promise)) {
        goOn(asked)
        return
      }
      asking++
      void asked.finally(() => asking--).then(goOn, () => socket.destroy())
    },
    list: (filter) => listSessions(running, filter),
    running,
    count: () => running.size,
    end: (filter, why, { now } = {}) =>
      endSessions(running, filter, why, now ? 0 : world().settings.limits.endTimeoutMs),
    rebalance(filter, how) {
      const chosen = chooseShare(running, filter, how.share)
      const overMs = how.overMs ?? gradualMs(chosen.length)
      endOver(chosen, { why: 'rebalanced', overMs, withinMs: world().settings.limits.endTimeoutMs })
      return chosen.length
    },
    endOver,
    takeBack: (isMeant) => spread.takeBack(isMeant),
    async drain(graceMs, { mayLogIn } = { mayLogIn: false }) {
      if (running.size === 0) return
      const empty = new Promise<void>((resolve) => void onEmpty.add(resolve))
      const { spreadDisconnectsMs } = world().settings.limits
      const told = new WeakSet<Session>()
      const tell = (): void => {
        const relaying: Session[] = []
        for (const session of running) {
          if (session.relay && !told.has(session)) relaying.push(session)
          // A client before login adds no login to a store when it reconnects, and a login under way has had its answer.
          else if (!mayLogIn) session.end('shutdown')
        }
        for (const session of relaying) told.add(session)
        const overMs = windowMs(relaying.length, Math.min(spreadDisconnectsMs, graceMs / 2))
        endOver(relaying, { why: 'shutdown', overMs, withinMs: undefined })
      }
      tell()
      const again = mayLogIn ? setInterval(tell, TELL_EVERY_MS) : undefined
      const grace = setTimeout(() => {
        for (const session of running) {
          if (mayLogIn && !session.relay && session.isResting) session.end('shutdown')
          else session.cut()
        }
      }, graceMs)
      await empty
      clearInterval(again)
      clearTimeout(grace)
    },
  }
}

/** Exported for its test. @param running the oldest first */
export function listSessions(
  running: Iterable<Session>,
  { limit, ...filter }: SessionFilter & { limit: number },
): SessionList {
  const sessions: SessionReport[] = []
  const isMeant = buildMatcher(filter)
  let total = 0
  let unconnected = 0
  for (const session of running) {
    if (!isMeant(session)) continue
    if (session.isUnconnected) unconnected++
    if (++total <= limit) sessions.push(session.report())
  }
  return { sessions, total, ...(unconnected > 0 && { unconnected }) }
}

/** Exported for its test. @param withinMs sessions that have not come to a safe point by then are cut */
export function endSessions(
  running: Iterable<Session>,
  filter: SessionFilter,
  why: EndReason,
  withinMs?: number,
): number {
  const isMeant = buildMatcher(filter)
  let count = 0
  for (const session of running) {
    if (!isMeant(session)) continue
    session.end(why, withinMs)
    count++
  }
  return count
}

const ignore = (): void => undefined
