/** Back ends and a log, as tests of rooms that need no more of them than this. */
import type { Backend, Backends } from '../../../src/backend/backends.ts'
import type { BackendSettings } from '../../../src/config/settings.ts'
import type { Log } from '../../../src/log.ts'

export function backendSettings(changes: Partial<BackendSettings> = {}): BackendSettings {
  return {
    name: 'store-1',
    hosts: ['192.0.2.10'],
    ports: { imap: 143, pop3: 110 },
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
    limits: { sessions: undefined, logins: 1000, loginsPerSecond: undefined, waitMs: 10_000, queue: 10_000 },
    slowStartMs: 10_000,
    ...changes,
  }
}

export function backend(changes: Partial<BackendSettings> = {}): Backend {
  return { settings: backendSettings(changes), tlsOptions: undefined, spareMemory: [] }
}

export function backendsOf(...all: Partial<BackendSettings>[]): Backends {
  return new Map(all.map((changes) => backend(changes)).map((one) => [one.settings.name, one]))
}

export type LogLine = { level: string; message: string } & Record<string, unknown>

/** A log that keeps its lines. */
export function keepLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, message, ...fields })
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return { log: log as unknown as Log, lines }
}
