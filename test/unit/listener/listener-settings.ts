/** A listener as the configuration gives it where nothing is said but what a test says. */
import type { ClientLimitSettings, ListenerSettings } from '../../../src/config/settings.ts'

export function listenerSettings(changes: Partial<ListenerSettings> = {}): ListenerSettings {
  return {
    name: 'imap',
    protocol: 'imap',
    listen: [],
    tls: 'none',
    banner: '',
    allowPlaintextAuth: false,
    mechanisms: undefined,
    capability: undefined,
    minVersion: undefined,
    ciphers: undefined,
    clientCa: undefined,
    clientUser: undefined,
    passthrough: [],
    proxyProtocol: 'off',
    trustedProxies: [],
    defaultDomain: undefined,
    defaultDomains: new Map(),
    delimiters: '@',
    masterSeparator: undefined,
    limits: clientLimits(),
    ...changes,
  }
}

/** No limit but those that a test sets. */
export function clientLimits(changes: Partial<ClientLimitSettings> = {}): ClientLimitSettings {
  return {
    access: { allow: undefined, deny: [] },
    exempt: [],
    maxConnections: undefined,
    connectionsPerAddress: undefined,
    connectionsPerPrefix: undefined,
    sessionsPerUser: undefined,
    sessionsPerDomain: undefined,
    sessionsPerBackendUser: undefined,
    connectionRate: undefined,
    loginRate: undefined,
    userLoginRate: undefined,
    penalty: undefined,
    ...changes,
  }
}
