/** What an auth server is asked in these tests: one login, and settings that send its password. */
import type { AuthHttpSettings, BackendSettings } from '../../../../src/config/settings.ts'
import { asOctets } from '../../../../src/octets.ts'
import type { LoginFacts } from '../../../../src/directory/directory.ts'
import { Secret } from '../../../../src/secret.ts'
import { routing } from '../../routing/fixture.ts'

export function settings(over: Partial<AuthHttpSettings> = {}): AuthHttpSettings {
  return {
    kind: 'auth_http',
    url: new URL('http://127.0.0.1:1/auth'),
    timeoutMs: 2000,
    headers: new Map(),
    ca: undefined,
    sendPassword: true,
    sendClientCertificate: false,
    ...over,
  }
}

export function facts(over: Partial<LoginFacts> = {}): LoginFacts {
  return {
    protocol: 'imap',
    proof: { kind: 'password', password: new Secret(asOctets('secret')) },
    attempt: 1,
    client: { address: '192.0.2.42', port: 50_000 },
    proxied: undefined,
    tls: undefined,
    ...over,
  }
}

/** Three back ends, at 10.0.0.1 to 10.0.0.3, with other ports for POP3. */
export function backends(over: Record<string, Partial<BackendSettings>> = {}): Map<string, BackendSettings> {
  return new Map(
    [...routing().backends].map(([name, backend]) => [
      name,
      { ...backend, hosts: [`10.0.0.${name.slice(-1)}`], ports: { imap: 143, pop3: 110 }, ...over[name] },
    ]),
  )
}
