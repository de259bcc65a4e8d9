/**
 * Every series of a worker, declared once, with a verb that records it; `instance-metrics.ts` has the series of the whole instance.
 * `aggregator` merges the readings of several workers if their sum is not meaningful. Labels come from closed sets (names of the configuration), never from
 * a client. A test compares docs/metrics.md with this list. Over 250 lines: it is one list of declarations.
 */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { BackendState, ProtocolName } from '../config/settings.ts'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { createDeliveryCounter } from './delivery-counter.ts'
import { createLimitCounter } from './limit-counter.ts'
import { createLoginWaits } from './login-waits.ts'
import { createShortageCounter } from './shortage-counter.ts'
import { createSnapshotGauge } from './snapshot-gauge.ts'
import { createHistogram, TalliedCounter, TalliedGauge } from './tallies.ts'

const LOGIN_OUTCOMES = ['accepted', 'refused', 'unavailable', 'misconfigured', 'disabled'] as const
export type LoginOutcome = (typeof LOGIN_OUTCOMES)[number]
export type LookupSource =
  'static' | 'cache' | 'directory' | 'stale' | 'snapshot' | 'domain' | 'placed' | 'unknown' | 'error'

/** What can be wrong with a route of the directory. */
export const ROUTE_FAULTS = [
  'unknown-backend',
  'no-backend',
  'bad-login',
  'bad-status',
  'bad-password',
  'wrong-type',
  'oversized',
] as const
export type RouteFault = (typeof ROUTE_FAULTS)[number]

/** What is going on at a back end now. */
export type GateReading = { backend: string; logins: number; waiting: number }

/** Connections of clients now, and how many there may be at a time. */
export type ConnectionReading = { open: number; max: number }

/** Adds what has been carried since the last call. */
export type RelayAccount = (bytesFromClient: number, bytesFromBackend: number) => void

export type Metrics = ReturnType<typeof createMetrics>

export function createMetrics(registry: Registry) {
  const registers = [registry]
  let readConnections = (): ConnectionReading => ({ open: 0, max: 0 })
  let readGates: () => readonly GateReading[] = () => []

  const connections = new TalliedCounter({
    name: 'mailmux_connections_total',
    help: 'Client connections accepted.',
    labelNames: ['protocol', 'listener'],
    registers,
  })
  const rejected = new Counter({
    name: 'mailmux_connections_rejected_total',
    help: 'Client connections ended by mailmux before a login.',
    labelNames: ['reason'],
    registers,
  })
  new Gauge({
    name: 'mailmux_connections',
    help: 'Client connections that are open now, before login and after.',
    registers,
    collect() {
      this.set(readConnections().open)
    },
  })
  new Gauge({
    name: 'mailmux_connections_max',
    help: 'Client connections that may be open at a time.',
    registers,
    collect() {
      this.set(readConnections().max)
    },
  })
  const limitHit = createLimitCounter(registry)
  const ended = new TalliedCounter({
    name: 'mailmux_sessions_ended_total',
    help: 'Client connections that have ended, by the cause.',
    labelNames: ['cause'],
    registers,
  })
  const shortageNoted = createShortageCounter(registry)
  const sessions = new TalliedGauge({
    name: 'mailmux_sessions',
    help: 'Sessions that are relaying now.',
    labelNames: ['protocol', 'backend'],
    registers,
  })
  const logins = new TalliedCounter({
    name: 'mailmux_logins_total',
    help: 'Login attempts by their outcome.',
    labelNames: ['protocol', 'mechanism', 'outcome'],
    registers,
  })
  const loginSeconds = createHistogram({
    name: 'mailmux_login_duration_seconds',
    help: 'From the login command to the answer, for logins that were routed to a back end.',
    labelNames: ['protocol', 'backend'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  const sessionSeconds = createHistogram({
    name: 'mailmux_session_duration_seconds',
    help: 'How long sessions relayed.',
    labelNames: ['protocol', 'backend'],
    buckets: [0.1, 1, 10, 60, 300, 1800, 3600, 4 * 3600, 24 * 3600],
    registers,
  })
  const relayedBytes = new TalliedCounter({
    name: 'mailmux_relayed_bytes_total',
    help: 'Bytes carried after login.',
    labelNames: ['protocol', 'backend', 'direction'],
    registers,
  })
  const lookups = new TalliedCounter({
    name: 'mailmux_route_lookups_total',
    help: 'Route decisions by where the route came from.',
    labelNames: ['source'],
    registers,
  })
  const lookupSeconds = createHistogram({
    name: 'mailmux_route_lookup_duration_seconds',
    help: 'Time to decide on a route.',
    buckets: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1],
    registers,
  })
  const routesRefused = new Counter({
    name: 'mailmux_routes_refused_total',
    help: 'Routes of the directory that were refused, by what is wrong with them.',
    labelNames: ['reason'],
    registers,
  })
  const deliveryLookedUp = createDeliveryCounter(registry)
  const directoryUp = new Gauge({
    name: 'mailmux_directory_up',
    help: '1 while the directory can be asked.',
    aggregator: 'min',
    registers,
  })
  const directoryDataLost = new Gauge({
    name: 'mailmux_directory_data_lost',
    help: '1 while the directory has lost its data and is not accepted as it is.',
    aggregator: 'max',
    registers,
  })
  const snapshotIsComplete = createSnapshotGauge(registry)
  const directoryBadAnswers = new Counter({
    name: 'mailmux_directory_bad_answers_total',
    help: 'Answers of Redis that have not the form of an answer to their command.',
    registers,
  })
  const backendStatesRefused = new Counter({
    name: 'mailmux_backend_states_refused_total',
    help: 'Times that the directory had a state of a back end that makes no sense.',
    labelNames: ['backend'],
    registers,
  })
  const backendUp = new Gauge({
    name: 'mailmux_backend_up',
    help: '1 while the back end can be reached by each protocol that it serves.',
    labelNames: ['backend'],
    aggregator: 'min',
    registers,
  })
  const backendAddresses = new Gauge({
    name: 'mailmux_backend_addresses',
    help: 'Addresses of the back end by how they do.',
    labelNames: ['backend', 'protocol', 'state'],
    aggregator: 'max',
    registers,
  })
  const backendProbes = new Counter({
    name: 'mailmux_backend_probes_total',
    help: 'Checks of back ends by their outcome.',
    labelNames: ['backend', 'outcome'],
    registers,
  })
  const backendState = new Gauge({
    name: 'mailmux_backend_state',
    help: '1 for the state that an operator has given the back end, 0 for the others.',
    labelNames: ['backend', 'state'],
    aggregator: 'max',
    registers,
  })
  new Gauge({
    name: 'mailmux_backend_logins',
    help: 'Logins that are under way at the back end now.',
    labelNames: ['backend'],
    registers,
    collect() {
      for (const { backend, logins } of readGates()) this.set({ backend }, logins)
    },
  })
  new Gauge({
    name: 'mailmux_backend_logins_waiting',
    help: 'Logins that wait for their turn at the back end now.',
    labelNames: ['backend'],
    registers,
    collect() {
      for (const { backend, waiting } of readGates()) this.set({ backend }, waiting)
    },
  })
  const loginWaited = createLoginWaits(registry)
  const handshakes = new Counter({
    name: 'mailmux_tls_handshakes_total',
    help: 'TLS handshakes with clients.',
    labelNames: ['version', 'resumed', 'outcome'],
    registers,
  })
  const certificateExpiry = new Gauge({
    name: 'mailmux_certificate_expiry_timestamp_seconds',
    help: 'When each certificate ends.',
    labelNames: ['certificate'],
    aggregator: 'min',
    registers,
  })
  for (const reason of ROUTE_FAULTS) routesRefused.inc({ reason }, 0)
  // The share of an outcome is 0 before the first login, and not absent.
  for (const protocol of PROTOCOL_NAMES) for (const outcome of LOGIN_OUTCOMES) logins.tally(protocol, 'PLAIN', outcome)
  const accounts = new Map<ProtocolName, Map<string, RelayAccount>>()

  return {
    connectionAccepted: (protocol: ProtocolName, listener: string) => connections.inc(protocol, listener),
    /** @param reason an error code */
    connectionRejected: (reason: string) => rejected.inc({ reason }),
    limitHit,
    /** @param cause of a relay, or an error code */
    connectionEnded: (cause: string) => ended.inc(cause),
    /** Where to read at each scrape how many connections there are. */
    watchConnections(read: () => ConnectionReading) {
      readConnections = read
    },
    shortageNoted,
    loginEnded: (protocol: ProtocolName, mechanism: string, outcome: LoginOutcome) =>
      logins.inc(protocol, mechanism, outcome),
    loginTook: (protocol: ProtocolName, backend: string, ms: number) =>
      loginSeconds.record(ms / 1000, protocol, backend),
    sessionStarted: (protocol: ProtocolName, backend: string) => sessions.add(1, protocol, backend),
    sessionEnded(protocol: ProtocolName, backend: string, ms: number) {
      sessions.add(-1, protocol, backend)
      sessionSeconds.record(ms / 1000, protocol, backend)
    },
    routeDecided(source: LookupSource, ms: number) {
      lookups.inc(source)
      lookupSeconds.record(ms / 1000)
    },
    routeRefused: (reason: RouteFault) => routesRefused.inc({ reason }),
    deliveryLookedUp,
    directoryIsUp: (up: boolean) => directoryUp.set(up ? 1 : 0),
    directoryHasLostData: (lost: boolean) => directoryDataLost.set(lost ? 1 : 0),
    snapshotIsComplete,
    directoryAnsweredBadly: () => directoryBadAnswers.inc(),
    backendStateRefused: (backend: string) => backendStatesRefused.inc({ backend }),
    backendIsUp: (backend: string, up: boolean) => backendUp.set({ backend }, up ? 1 : 0),
    backendStateIs(backend: string, now: BackendState) {
      const readings: Record<BackendState, number> = { up: 0, drain: 0, pause: 0, down: 0, [now]: 1 }
      for (const [state, reading] of Object.entries(readings)) backendState.set({ backend, state }, reading)
    },
    /** Where to read at each scrape what is going on at the back ends. */
    watchGates(read: () => readonly GateReading[]) {
      readGates = read
    },
    loginWaited,
    backendAddresses(backend: string, protocol: ProtocolName, { up, down }: { up: number; down: number }) {
      backendAddresses.set({ backend, protocol, state: 'up' }, up)
      backendAddresses.set({ backend, protocol, state: 'down' }, down)
    },
    backendProbed: (backend: string, outcome: 'ok' | 'failed') => backendProbes.inc({ backend, outcome }),
    handshakeEnded: (version: string, resumed: boolean, outcome: 'ok' | 'failed') =>
      handshakes.inc({ version, resumed: String(resumed), outcome }),
    /** Sets what follows from the configuration alone, so that each series is there before its first event. */
    worldEntered(expiries: readonly { file: string; notAfterMs: number }[]) {
      for (const { file, notAfterMs } of expiries) certificateExpiry.set({ certificate: file }, notAfterMs / 1000)
    },
    /** One function for each protocol and back end, so that a relay holds no labels. */
    relayAccount(protocol: ProtocolName, backend: string): RelayAccount {
      let ofProtocol = accounts.get(protocol)
      if (!ofProtocol) accounts.set(protocol, (ofProtocol = new Map<string, RelayAccount>()))
      let account = ofProtocol.get(backend)
      if (!account) {
        const fromClient = relayedBytes.tally(protocol, backend, 'from-client')
        const fromBackend = relayedBytes.tally(protocol, backend, 'from-backend')
        account = (bytesFromClient, bytesFromBackend) => {
          fromClient.add(bytesFromClient)
          fromBackend.add(bytesFromBackend)
        }
        ofProtocol.set(backend, account)
      }
      return account
    },
  }
}
