/** A relay over real sockets of the loopback interface, with a script at either end. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { createReadMemory, LeanSocket } from '../../../src/net/lean-socket.ts'
import {
  createRelays,
  type LeaveCause,
  type RelayEnding,
  type RelayHandle,
  type RelayOptions,
  type Relays,
} from '../../../src/relay/relays.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'
import { ScriptedPeer } from '../../support/scripted-peer.ts'

export type Relayed = {
  relays: Relays
  handle: RelayHandle
  /** the scripts' ends */
  client: ScriptedPeer
  backend: ScriptedPeer
  /** the relay's ends */
  near: { client: Socket; backend: Socket }
  /** what `account` was told, in all */
  accounted: { fromClient: number; fromBackend: number }
  /** the ending, or a failure with both conversations where it does not come */
  ending: () => Promise<RelayEnding>
}

/** The scripts' ends of both connections. */
export type Far = Pick<Relayed, 'client' | 'backend'>

export type RelayedOptions = Partial<RelayOptions> & {
  /** the relay is to end at a safe point from its beginning, as in a session that ends while its login is under way */
  leave?: LeaveCause
  /** sent by each side before the relay begins, and not read by anybody yet */
  early?: { client?: string; backend?: string }
}

const GOODBYE: RelayOptions['goodbye'] = {
  shutdown: '* BYE\r\n',
  idle: '* BYE idle\r\n',
  moved: '* BYE moved\r\n',
  drained: '* BYE drained\r\n',
  rebalanced: '* BYE rebalanced\r\n',
  kicked: '* BYE kicked\r\n',
  disabled: '* BYE disabled\r\n',
}

export async function startRelay(t: TestContext, { early = {}, ...options }: RelayedOptions = {}): Promise<Relayed> {
  const [client, nearClient] = await connectPair(t, 'accepts', early.client)
  const [backend, nearBackend] = await connectPair(t, 'connects', early.backend)
  return runRelay({ client, backend }, { client: nearClient, backend: nearBackend }, options)
}

/** @param near the relay's ends, which it owns from here on */
export function runRelay(
  { client, backend }: Far,
  near: Relayed['near'],
  { leave, ...options }: Omit<RelayedOptions, 'early'> = {},
): Relayed {
  // As the dialogues leave them: see LineSocket.detach().
  near.client.pause()
  near.backend.pause()
  const accounted = { fromClient: 0, fromBackend: 0 }
  const relays = createRelays()
  const handle = relays.run(near.client, near.backend, {
    idleMs: 60_000,
    goodbye: GOODBYE,
    spreadMs: 0,
    watch: undefined,
    unreadFromClient: undefined,
    unreadFromBackend: undefined,
    account: (fromClient, fromBackend) => {
      accounted.fromClient += fromClient
      accounted.fromBackend += fromBackend
    },
    ...options,
  })
  if (leave) handle.endWhenSafe(leave)
  const conversations = (): string =>
    `the relay did not end\n--- the client:\n${client.transcript.join('\n')}\n--- the back end:\n${backend.transcript.join('\n')}`
  return {
    relays,
    handle,
    client,
    backend,
    near,
    accounted,
    ending: () => within(READ_DEADLINE_MS, handle.ended, conversations),
  }
}

/** The relay's end accepts, as from a client, or connects as the dialer does. @returns the script's end, and the relay's */
export async function connectPair(
  t: TestContext,
  relayEnd: 'accepts' | 'connects',
  early?: string,
): Promise<[ScriptedPeer, Socket]> {
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const options = { host: '127.0.0.1', port: (server.address() as AddressInfo).port, allowHalfOpen: true }
  const connecting =
    relayEnd === 'accepts' ? connect(options) : new LeanSocket(options, createReadMemory()).connect(options)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  server.close()
  t.after(() => {
    connecting.destroy()
    accepted.destroy()
  })
  const [far, near] = relayEnd === 'accepts' ? [connecting, accepted] : [accepted, connecting]
  const peer = new ScriptedPeer(far, relayEnd === 'connects')
  if (early !== undefined) {
    peer.sendRaw(early)
    await once(near, 'readable')
  }
  return [peer, near]
}
