/** A routing file with three back ends, one static user and one domain. */
import type { BackendSettings, RoutingSettings } from '../../../src/config/settings.ts'
import type { Placing } from '../../../src/routing/new-users.ts'

const PLAIN = {
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
} as const

export const PLACING: Placing = { isUp: () => true, loginMs: 20_000 }

export function routing(): RoutingSettings {
  const backends = ['store1', 'store2', 'store3'].map((name): [string, BackendSettings] => [
    name,
    {
      name,
      hosts: [`${name}.example.test`],
      ports: { imap: 143 },
      tls: 'none',
      tlsName: undefined,
      ca: undefined,
      verify: 'name',
      ...PLAIN,
    },
  ])
  return {
    backends: new Map(backends),
    users: new Map([['fixed@example.test', { backend: 'store3', login: 'inner' }]]),
    domains: new Map([['example.test', { backend: 'store1' }]]),
    placement: { domains: new Map(), others: undefined },
    aliases: new Map([['alias.test', 'example.test']]),
  }
}
