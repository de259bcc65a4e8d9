/** Asks a back end what it can do before login, on a connection of its own. */
import type { Address } from '../backend/addresses.ts'
import type { Backend } from '../backend/backends.ts'
import type { ProtocolName } from '../config/settings.ts'
import { protocols } from '../protocol/protocols.ts'
import { BackendConnection } from './backend-connection.ts'

/** @throws MuxError as a login would, or the signal's reason */
export async function askCapabilities(
  backend: Backend,
  address: Address,
  protocol: ProtocolName,
  signal: AbortSignal,
): Promise<string[]> {
  const connection = await BackendConnection.open(backend, address, undefined, signal)
  try {
    return await protocols[protocol].askCapabilities(connection, backend.settings.tls === 'starttls')
  } finally {
    connection.close()
  }
}
