/** A client over loopback and mailmux's connection with it. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { ClientConnection } from '../../../src/client/connection.ts'
import type { ListenerSettings } from '../../../src/config/settings.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import type { ServerTls } from '../../../src/tls/certificates.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

export type Handshake = [version: string, resumed: boolean, outcome: 'ok' | 'failed']

export type Arrival = {
  /** the client's end */
  client: Socket
  /** mailmux's end of the same connection */
  accepted: Socket
  conn: ClientConnection
  /** what the connection reported of its handshakes */
  handshakes: Handshake[]
}

/** Connects a client. The server's sockets may be half open, as those of the listeners are. */
export async function arrive(
  t: TestContext,
  { settings = {}, tls }: { settings?: Partial<ListenerSettings>; tls?: ServerTls | undefined } = {},
): Promise<Arrival> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => undefined)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  server.close()
  const handshakes: Handshake[] = []
  const context = {
    settings: listenerSettings(settings),
    banner: () => '',
    tls,
    trustedProxies: createIpSet(['127.0.0.0/8']),
    passthrough: new Map<string, string>(),
  }
  const conn = new ClientConnection(accepted, context, (...handshake) => handshakes.push(handshake))
  t.after(() => {
    client.destroy()
    accepted.destroy()
  })
  return { client, accepted, conn, handshakes }
}
