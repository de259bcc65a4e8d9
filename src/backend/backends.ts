/** The back ends of one configuration, with their TLS trust built once. */
import { createSecureContext, type ConnectionOptions } from 'node:tls'
import type { BackendSettings } from '../config/settings.ts'
import { isAddress } from '../net/address.ts'
import { createReadMemory, type ReadMemory } from '../net/lean-socket.ts'

export type Backend = {
  settings: BackendSettings
  /** for the client's side of a handshake, by the host that was dialled; undefined where the leg is in clear */
  tlsOptions: ((host: string) => ConnectionOptions) | undefined
  /** what its connections read into; shared with all others */
  readMemory: ReadMemory
}

export type Backends = ReadonlyMap<string, Backend>

export function buildBackends(settings: ReadonlyMap<string, BackendSettings>): Backends {
  const readMemory = createReadMemory()
  const build = (backend: BackendSettings): Backend => ({
    settings: backend,
    tlsOptions: buildTlsOptions(backend),
    readMemory,
  })
  return new Map([...settings].map(([name, backend]) => [name, build(backend)]))
}

/** The certificate must be for the configured name, never for the address that it resolved to (RFC 6125, RFC 7817). */
function buildTlsOptions(backend: BackendSettings): ((host: string) => ConnectionOptions) | undefined {
  if (backend.tls === 'none') return undefined
  const shown = backend.clientCertificate
  const secureContext = createSecureContext({
    ...(backend.ca !== undefined && { ca: backend.ca }),
    ...(shown && { cert: shown.cert, key: shown.key.reveal() }),
  })
  // A pin says more than any CA could, and is checked once the handshake is done.
  const rejectUnauthorized = backend.verify === 'name' && backend.pins.length === 0
  return (host) => {
    const name = (backend.tlsName ?? host).replace(/\.$/, '') // as DNS may write it; no certificate does
    return {
      host: name, // what Node checks the certificate against where no server name can be sent
      ...(!isAddress(name) && { servername: name }), // RFC 6066 3: no address in SNI
      rejectUnauthorized,
      secureContext,
    }
  }
}
