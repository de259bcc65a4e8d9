/**
 * The composition root of one worker: builds every module from the settings, in the order of a connection's path, and closes them.
 * Over 250 lines: it is the list of all modules, and nothing else.
 */
import { createAnswers, type Answers } from './answers.ts'
import { createAdmissions } from './backend/admission/admission.ts'
import { BackendConnection } from './backend/backend-connection.ts'
import { createCapabilityBook } from './backend/capabilities.ts'
import { createLiveBackends } from './backend/live-backends.ts'
import { followDirectoryStates } from './backend/directory-states.ts'
import { createBackendStates } from './backend/states.ts'
import { startProber } from './backend/health/prober.ts'
import { createRunningClock, watchStalls } from './clock.ts'
import type { DirectorySettings, Settings } from './config/settings.ts'
import type { Accept } from './listener/door.ts'
import { DELIVERY_PORT } from './listener/ports.ts'
import type { BlockTarget } from './blocks/block.ts'
import { createBlockTable } from './blocks/block-table.ts'
import type { Ledger } from './limits/ledger.ts'
import { createLimits } from './limits/limits.ts'
import type { Listeners } from './listener/listener.ts'
import { systemCode } from './errors.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics/metrics.ts'
import { createRelays } from './relay/relays.ts'
import { createCapacity, lookForDescriptor, readDescriptorLimit } from './resources/descriptors.ts'
import { createDelivery } from './delivery/delivery.ts'
import { createShortageNotes } from './resources/shortages.ts'
import { openCurrentDirectory, type WorkersOfStores } from './directory/current-directory.ts'
import { probeBackend } from './login/probe-backend.ts'
import { createOffers } from './session/offer.ts'
import { SYSTEM_CLOCK } from './login/clock.ts'
import { createHeldUsers } from './login/held-users.ts'
import type { LoginServices } from './login/login.ts'
import { createHeldBack } from './login/held-back.ts'
import { createRefusalPace } from './login/refusal-pace.ts'
import { SessionEvents } from './session/events.ts'
import { createBackendDrain } from './session/backend-drain.ts'
import { quiesce } from './session/quiesce.ts'
import { createRouteFollower } from './session/follow-routes.ts'
import { subscribeMetrics, subscribeShortages } from './session/session-metrics.ts'
import { subscribeLog } from './session/session-log.ts'
import { createLoginChannel } from './session/login-channel.ts'
import { createRefusalRecord } from './session/refusal-record.ts'
import { followTraces } from './session/trace-events.ts'
import { createSessions } from './session/sessions.ts'
import { createTraces } from './trace/traces.ts'
import { createWorlds } from './worlds.ts'
import { placedName } from './routing/new-users.ts'

/** How often silent relays are looked for. Idle limits are minutes; a second also makes a shutdown prompt. */
const SWEEP_MS = 1000
/** How long a start waits for the directory and the first probes of back ends; mailmux serves without them too. */
const START_WAIT_MS = 2000

/** What a worker is handed, as it is one of several, or alone in the only process. */
export type AppDeps = {
  log: Log
  metrics: Metrics
  /** from which all workers make the keys of session tickets, where the settings have no secret */
  ticketSecret: string
  /** @throws Error with a message for the operator; no port is left open then */
  listen: (settings: Settings, accept: Accept) => Promise<OpenListeners>
  /** undefined where there are none */
  others?: WorkersOfStores
  /** what the limits count, of all workers; undefined: in this process */
  ledger?: Ledger
  /** given if the limits of back ends are leased: called when a login waits for more of them */
  onShort?: (() => void) | undefined
  /** the blocks in force at the start */
  blocks?: readonly BlockTarget[]
}

type OpenListeners = Pick<Listeners, 'addresses' | 'close'>

export type App = {
  /** Waits a little for the directory and the back ends, then accepts. @throws Error for the operator; `close` is still to be called */
  start(): Promise<Listeners['addresses']>
  /** Connects this directory, if it is another one than that in force. @throws Error for the operator; then nothing has changed */
  prepare: (directory: DirectorySettings) => Promise<void>
  /** The prepared directory does not come into force. */
  discard: () => void
  /** New connections are served by these from now on. */
  takeOver: (settings: Settings) => void
  /**
   * Stops accepting, lets sessions come to an end, and closes everything.
   * @param how `mayLogIn`: sessions before login may still log in, as another process accepts in the place of this one
   */
  stop(how?: { mayLogIn: boolean }): Promise<void>
  /** Closes everything at once. */
  close(): Promise<void>
  answers: Answers
}

/** @param settings those of a configuration without errors */
export function createApp(
  settings: Settings,
  { log, metrics, ticketSecret, listen, others, ledger, onShort, blocks = [] }: AppDeps,
): App {
  const noteShortage = createShortageNotes(log, metrics.shortageNoted)
  const directory = openCurrentDirectory(settings.directory, { log, monitor: { ...metrics, noteShortage }, others })

  const admissions = createAdmissions({ log, loginWaited: metrics.loginWaited, onShort })
  metrics.watchGates(admissions.describe)
  const stalls = watchStalls()
  const backends = createLiveBackends({
    log,
    metrics,
    noteShortage,
    hasStalled: stalls.hasStalled,
    onLost: admissions.lost,
    onRecovered: admissions.recovered,
  })
  const states = createBackendStates(log)
  states.onChange((name, { state }, before) => {
    // Failed checks during the restart of a store must not refuse the logins that have waited for it.
    if (state === 'up' && before) backends.get(name)?.markUp()
    admissions.setState(name, state)
    metrics.backendStateIs(name, state)
  })
  const capacity = createCapacity(log, readDescriptorLimit())
  const worlds = createWorlds(settings, {
    ticketSecret,
    directory,
    backends,
    states,
    admissions,
    capacity,
    log,
    metrics,
  })
  const book = createCapabilityBook(log)
  const prober = startProber({
    backends: () => worlds.current().backends,
    live: backends,
    ask: probeBackend,
    book,
    log,
    metrics,
    noteShortage,
  })
  const relays = createRelays()
  const refusals = createRefusalRecord()
  const events = new SessionEvents(
    [subscribeShortages(noteShortage), subscribeMetrics(metrics), subscribeLog(log), refusals.subscriber],
    () => traces.isOn || loginChannel.isOn || log.isLevelEnabled?.('debug') === true,
  )
  const traces = createTraces(() => sessions.running)
  followTraces(traces, events)
  const loginChannel = createLoginChannel(() => events)
  const heldUsers = createHeldUsers(placedName)
  const blockTable = createBlockTable()
  blockTable.replace(blocks)
  const limits = createLimits({ guards: [blockTable.guard], ledger })
  const logins: LoginServices = {
    backends,
    admissions,
    states,
    heldUsers,
    pace: createRefusalPace(),
    heldBack: createHeldBack(),
    limits,
    clock: SYSTEM_CLOCK,
    dial: (backend, address, origin) => new BackendConnection(backend, address, origin),
    events,
  }
  const sessions = createSessions(worlds.current, {
    logins,
    events,
    relays,
    traces,
    loginChannel,
    relayAccount: (protocol, backend) => metrics.relayAccount(protocol, backend),
    maxConnections: capacity.max,
    limits,
    offer: createOffers(book),
  })
  const delivery = createDelivery({ world: worlds.current, log, metrics })
  const endTimeoutMs = (): number => worlds.current().settings.limits.endTimeoutMs
  const follower = createRouteFollower({
    sessions: () => sessions.running,
    routeOf: (user) => worlds.current().router.byRunning(user),
    placedName,
    // An auth server decides for one login, with its password, and can be asked for nothing else.
    isOn: () => {
      const { followRoutes, directory } = worlds.current().settings
      return followRoutes && directory.kind !== 'auth_http'
    },
    endTimeoutMs,
  })
  directory.onRouteChanged((user) => {
    heldUsers.changed(user)
    follower.changed(user)
  })
  const drain = createBackendDrain({
    running: () => sessions.running,
    endOver: sessions.endOver,
    takeBack: (isMeant) => sessions.takeBack(isMeant),
    endTimeoutMs,
  })
  states.onChange((name, { state, overMs }) => drain.changed(name, state, overMs))
  const directoryStates = followDirectoryStates({
    names: () => worlds.current().backends.keys(),
    read: (name) => directory.backendState(name),
    set: (name, state) => states.setFromDirectory(name, state),
    refused: metrics.backendStateRefused,
    log,
  })
  directory.onBackendChanged(directoryStates.changed)
  metrics.watchConnections(() => ({ open: sessions.count(), max: capacity.max() }))
  const running = createRunningClock(3 * SWEEP_MS)
  const sweep = setInterval(() => {
    relays.sweep(running())
    lookForDescriptor(noteShortage)
  }, SWEEP_MS)

  let listeners: OpenListeners | undefined
  const closed = new AbortController()
  const close = async (): Promise<void> => {
    closed.abort()
    listeners?.close()
    delivery.close()
    clearInterval(sweep)
    follower.close()
    directoryStates.close()
    drain.close()
    stalls.stop()
    prober.stop()
    worlds.close()
    backends.close()
    await directory.close()
  }
  return {
    async start() {
      await waitAtMost([prober.probeAll(), directory.connected])
      closed.signal.throwIfAborted()
      listeners = await listen(settings, {
        onConnection(socket, listener) {
          if (listener === DELIVERY_PORT) delivery.accept(socket)
          else sessions.accept(socket, listener)
        },
        onError(error, listener) {
          metrics.connectionRejected('local-shortage')
          noteShortage('accept', `listener ${listener}: ${systemCode(error)}`)
        },
      })
      if (closed.signal.aborted) listeners.close()
      return listeners.addresses
    },
    prepare: (next) => directory.prepare(next),
    discard: () => directory.discard(),
    takeOver(changed) {
      worlds.enter(changed)
      follower.changed(undefined)
      directory.enter(changed.directory)
      directoryStates.changed(undefined)
    },
    async stop(how = { mayLogIn: false }) {
      listeners?.close()
      if (how.mayLogIn) await sessions.drain(settings.limits.shutdownGraceMs, how)
      admissions.close()
      heldUsers.close()
      await sessions.drain(worlds.current().settings.limits.shutdownGraceMs)
      await close()
    },
    close,
    answers: createAnswers({
      world: worlds.current,
      backends,
      admissions,
      states,
      logins,
      sessions,
      refusals: refusals.list,
      quiesce: ({ user, backend, token }) =>
        quiesce(user, backend, token, {
          sessions: () => sessions.running,
          // As a delivery asks: the lookup of a login would place a new user.
          routeOf: (name) => worlds.current().router.byRecipient({ user: name, local: name, domain: undefined }, ''),
          placedName,
          endTimeoutMs,
        }),
      blocks: blockTable,
      traces,
      directory: directory.inForce,
      store: directory.store,
      log,
    }),
  }
}

/** Resolves when all have resolved, or after START_WAIT_MS. */
async function waitAtMost(waits: readonly Promise<void>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>((resolve) => (timer = setTimeout(resolve, START_WAIT_MS)))
  await Promise.race([Promise.all(waits), enough])
  clearTimeout(timer)
}
