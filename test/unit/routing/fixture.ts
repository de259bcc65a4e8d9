/** A routing file with three back ends, one static user and one domain. */
import type { BackendSettings, RoutingSettings } from '../../../src/config/settings.ts'
import { backendSettings } from '../backend/fixture.ts'
import type { Placing } from '../../../src/routing/new-users.ts'

export const PLACING: Placing = { isUp: () => true, loginMs: 20_000 }

export function routing(): RoutingSettings {
  const backends = ['store1', 'store2', 'store3'].map((name): [string, BackendSettings] => [
    name,
    backendSettings({ name, hosts: [`${name}.example.test`], ports: { imap: 143 } }),
  ])
  return {
    userCase: 'keep',
    backends: new Map(backends),
    users: new Map([['fixed@example.test', { backend: 'store3', login: 'inner' }]]),
    domains: new Map([['example.test', { backend: 'store1' }]]),
    placement: { domains: new Map(), others: undefined },
    aliases: new Map([['alias.test', 'example.test']]),
    resolvers: [],
  }
}
