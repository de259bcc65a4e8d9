/**
 * Periodic checks of each address of each back end: its health and its capabilities. Speaks no protocol: the caller gives the
 * function that asks. An address with a recent successful login is not checked, because most servers log each check.
 */
import type { HealthSettings } from '../../config/settings.ts'
import { asMuxError, MuxError, type NoteShortage } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics/metrics.ts'
import { PROTOCOL_NAMES } from '../../protocol/registry.ts'
import type { Backend, Backends } from '../backends.ts'
import type { CapabilityBook } from '../capabilities.ts'
import type { Proof } from './health.ts'
import type { Endpoint } from '../endpoint/endpoint.ts'
import type { LiveBackend } from '../live-backend.ts'
import type { LiveBackends } from '../live-backends.ts'

/** Interval of questions for capabilities. These change with an upgrade of the server, and a delay of five minutes does no harm. */
const CAPABILITIES_EVERY_MS = 300_000
/** Interval after a first failure or a first success, so that the decision (`fall`, `rise`) does not take several usual intervals. */
const SOON_MS = 1000
/** Interval at which due checks are started: a tenth of the shortest interval of checks. */
const TICK_MS = 100
/** Random share of each interval, so that the checks of many back ends, and of many instances, do not coincide. */
const JITTER = 0.1

/** A timer with a longer delay means that the process was suspended; a busy machine causes shorter delays. */
const STALL_MS = 2000

export type Probe = Exclude<HealthSettings['check'], 'none'>

/** @returns the capabilities of the back end, if `kind` asks for them @throws MuxError, or the signal's reason */
export type ProbeBackend = (
  backend: Backend,
  endpoint: Endpoint,
  kind: Probe,
  signal: AbortSignal,
) => Promise<readonly string[] | undefined>

export type Prober = {
  /** Checks every address now. */
  probeAll(): Promise<void>
  stop(): void
}

export type ProberParts = {
  backends: () => Backends
  live: Pick<LiveBackends, 'of'>
  ask: ProbeBackend
  book: CapabilityBook
  log: Log
  metrics: Pick<Metrics, 'backendProbed'>
  noteShortage: NoteShortage
  /** a monotonic clock */
  nowMs?: () => number
  random?: () => number
}

const PROOFS = { tcp: 'connection', tls: 'greeting', greeting: 'greeting', login: 'login' } as const satisfies Record<
  Probe,
  Proof
>

export function startProber({
  backends,
  live: allLive,
  ask,
  book,
  log,
  metrics,
  noteShortage,
  nowMs = () => performance.now(),
  random = Math.random,
}: ProberParts): Prober {
  const running = new Set<Endpoint>()
  /** time of the last question for capabilities, by protocol and back end */
  const askedMs = new Map<string, number>()

  async function probe(backend: Backend, live: LiveBackend, endpoint: Endpoint): Promise<void> {
    const { name, health } = backend.settings
    const { protocol } = endpoint
    const isAboutCapabilities = areCapabilitiesDue(backend, live, endpoint)
    const kind = isAboutCapabilities ? 'greeting' : health.check
    if (kind === 'none') return
    if (isAboutCapabilities) askedMs.set(`${protocol} ${name}`, nowMs())
    const isCheck = kind === health.check
    const startedMs = nowMs()
    const giveUp = new AbortController()
    const late = new MuxError('backend-timeout', `no answer to a check within ${health.timeoutMs} ms`)
    const timer = setTimeout(() => giveUp.abort(late), health.timeoutMs)
    try {
      const words = await ask(backend, endpoint, kind, giveUp.signal)
      if (words) book.learn(protocol, name, words)
      if (isCheck) live.succeeded(endpoint, { by: 'check', proof: PROOFS[kind] })
      metrics.backendProbed(name, 'ok')
    } catch (thrown) {
      const { code, side, message } = asMuxError(thrown)
      // The check has not reached the back end: it is neither a success nor a failure.
      if (code === 'local-shortage') {
        noteShortage('check', message)
        return
      }
      // The process was suspended (SIGSTOP, a suspended machine): an unread answer may be waiting.
      if (code === 'backend-timeout' && nowMs() - startedMs > health.timeoutMs + STALL_MS) return
      if (side !== 'backend') log.error({ backend: name, protocol, err: thrown }, 'defect')
      else if (isCheck) live.failed(endpoint, { by: 'check', code, client: undefined }, message)
      else log.warn({ backend: name, protocol, code, detail: message }, 'back end does not tell its capabilities')
      metrics.backendProbed(name, 'failed')
    } finally {
      clearTimeout(timer)
    }
  }

  /** Only the first address is asked: all addresses of a back end are one server to its users. */
  function areCapabilitiesDue({ settings }: Backend, live: LiveBackend, endpoint: Endpoint): boolean {
    if (live.addresses(endpoint.protocol)[0] !== endpoint) return false
    const last = askedMs.get(`${endpoint.protocol} ${settings.name}`) ?? -Infinity
    return nowMs() - last >= CAPABILITIES_EVERY_MS * (1 - JITTER)
  }

  function nextMs({ settings: { health } }: Backend, { health: { up, failures, successes } }: Endpoint): number {
    const intervalMs = health.check === 'none' ? CAPABILITIES_EVERY_MS : health.intervalMs
    const isUndecided = up ? failures > 0 : successes > 0
    const ms = isUndecided ? Math.min(intervalMs, SOON_MS) : intervalMs
    return nowMs() + ms * (1 + JITTER * (2 * random() - 1))
  }

  /** A recent successful login replaces the check. */
  function isProven(backend: Backend, live: LiveBackend, endpoint: Endpoint): boolean {
    const { up, failures, fault } = endpoint.health
    if (!up || failures > 0 || fault !== undefined || areCapabilitiesDue(backend, live, endpoint)) return false
    return nowMs() - endpoint.provenMs < backend.settings.health.intervalMs
  }

  async function visit(backend: Backend, live: LiveBackend, endpoint: Endpoint): Promise<void> {
    if (running.has(endpoint)) return
    running.add(endpoint)
    try {
      if (!isProven(backend, live, endpoint)) await probe(backend, live, endpoint)
    } finally {
      running.delete(endpoint)
      endpoint.checkDueMs = nextMs(backend, endpoint)
    }
  }

  function visitWhere(isDue: (endpoint: Endpoint) => boolean): Promise<void>[] {
    return [...backends().values()].flatMap((backend) => {
      const live = allLive.of(backend.settings)
      return PROTOCOL_NAMES.flatMap((protocol) =>
        live
          .addresses(protocol)
          .filter((endpoint) => isDue(endpoint))
          .map((endpoint) => visit(backend, live, endpoint)),
      )
    })
  }

  const timer = setInterval(() => {
    const now = nowMs()
    void Promise.all(visitWhere(({ checkDueMs }) => now >= checkDueMs))
  }, TICK_MS)
  return {
    async probeAll() {
      await Promise.all([...backends().values()].map(({ settings }) => allLive.of(settings).located()))
      await Promise.all(visitWhere(() => true))
    },
    stop: () => clearInterval(timer),
  }
}
