/** The zone of a link-local address has a meaning on this machine alone (RFC 4007 11.2): no peer and no log line gets it. */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { createIpSet } from '../../../src/net/ip-set.ts'
import { ClientConnection } from '../../../src/client/connection.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

function acceptedFrom(address: string): Socket {
  const socket = new Socket()
  return Object.defineProperties(socket, { remoteAddress: { value: address }, localAddress: { value: address } })
}

for (const [shown, plain] of [
  ['fe80::1%lo', 'fe80::1'],
  ['fe80::aa:1%eth0.100', 'fe80::aa:1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8::1', '2001:db8::1'],
  ['192.0.2.1', '192.0.2.1'],
] as const)
  test(`takes ${shown} for ${plain}, at either end`, (t) => {
    const context = {
      settings: listenerSettings(),
      banner: () => '',
      tls: undefined,
      trustedProxies: createIpSet([]),
      passthrough: new Map(),
    }
    const conn = new ClientConnection(acceptedFrom(shown), context, () => undefined)
    t.after(() => conn.close())
    assert.equal(conn.client.address, plain)
    assert.equal(conn.local.address, plain)
  })
