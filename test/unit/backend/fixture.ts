/** Back ends and a log, as tests of rooms that need no more of them than this. */
import type { Backend, Backends } from '../../../src/backend/backends.ts'
import { createLiveBackends } from '../../../src/backend/live-backends.ts'
import type { Found, Service } from '../../../src/backend/endpoint/lookup.ts'
import type { BackendSettings } from '../../../src/config/settings.ts'
import type { ErrorCode } from '../../../src/errors.ts'
import type { Log } from '../../../src/log.ts'
import { createReadMemory } from '../../../src/net/lean-socket.ts'

export function backendSettings(changes: Partial<BackendSettings> = {}): BackendSettings {
  return {
    name: 'store-1',
    hosts: ['192.0.2.10'],
    srv: undefined,
    health: { check: 'greeting', intervalMs: 10_000, timeoutMs: 5000, rise: 2, fall: 3, testUser: undefined },
    ports: { imap: 143, pop3: 110 },
    lmtp: undefined,
    tls: 'none',
    tlsName: undefined,
    ca: undefined,
    verify: 'name',
    pins: [],
    clientCertificate: undefined,
    proxyProtocol: 'none',
    forwardIdentity: true,
    loginFormat: '%u',
    weight: 1,
    tags: [],
    master: undefined,
    limits: {
      sessions: undefined,
      logins: 1000,
      loginsPerSecond: undefined,
      waitMs: 10_000,
      queue: 10_000,
      leastForAddress: 4,
    },
    slowStartMs: 10_000,
    state: 'up',
    ...changes,
  }
}

export function backend(changes: Partial<BackendSettings> = {}): Backend {
  return { settings: backendSettings(changes), tlsOptions: undefined, readMemory: createReadMemory() }
}

export function backendsOf(...all: Partial<BackendSettings>[]): Backends {
  return new Map(all.map((changes) => backend(changes)).map((one) => [one.settings.name, one]))
}

export type LogLine = { level: string; message: string } & Record<string, unknown>

/** For `assert.rejects`. */
export const isCode = (code: ErrorCode) => (error: unknown) =>
  error instanceof Error && 'code' in error && error.code === code

/** A log that keeps its lines. */
export function keepLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, message, ...fields })
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return { log: log as unknown as Log, lines }
}

/** Live back ends with a clock and a DNS that the test moves. */
export function liveWorld(...all: BackendSettings[]) {
  const { log, lines } = keepLog()
  const clock = { ms: 1_000_000, hasStalled: false }
  const gauges = new Map<string, unknown>()
  const dns = {
    hosts: new Map<string, readonly string[]>(),
    services: new Map<string, readonly Service[]>(),
    ttlMs: 30_000,
    /** the code of every lookup's failure */
    code: 'ENOTFOUND',
    asked: [] as string[],
  }
  const find = <T>(table: ReadonlyMap<string, readonly T[]>) =>
    function ask(name: string): Promise<Found<T>> {
      dns.asked.push(name)
      const records = table.get(name)
      if (!records) return Promise.reject(Object.assign(new Error(`no ${name}`), { code: dns.code }))
      return Promise.resolve({ records, ttlMs: dns.ttlMs })
    }
  const recovered: string[] = []
  const lost: string[] = []
  const awayMs: number[] = []
  const shortages: string[] = []
  const live = createLiveBackends({
    log,
    metrics: {
      backendIsUp: (name, up) => void gauges.set(name, up),
      backendAddresses: (name, protocol, counts) => void gauges.set(`${name} ${protocol}`, counts),
    },
    noteShortage: (place, detail) => void shortages.push(`${place}: ${detail}`),
    nowMs: () => clock.ms,
    toEpochMs: (ms) => ms,
    hasStalled: () => clock.hasStalled,
    lookupBy: () => ({ addresses: find(dns.hosts), services: find(dns.services) }),
    onLost: (name, protocol) => void lost.push(`${name} ${protocol}`),
    onRecovered(name, lostMs) {
      recovered.push(name)
      awayMs.push(lostMs)
    },
  })
  const enter = (...newest: BackendSettings[]): void =>
    live.reconcile({ backends: new Map(newest.map((one) => [one.name, one])), resolvers: [] })
  enter(...all)
  return { live, enter, clock, dns, log, lines, gauges, lost, recovered, awayMs, shortages }
}
