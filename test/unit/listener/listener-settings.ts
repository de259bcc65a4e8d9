/** A listener as the configuration gives it where nothing is said but what a test says. */
import type { ListenerSettings } from '../../../src/config/settings.ts'

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
    limits: { access: { allow: undefined, deny: [] } },
    ...changes,
  }
}
