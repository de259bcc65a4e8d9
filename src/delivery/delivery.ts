/**
 * The service of `delivery`: a socketmap (socketmap_table(5)) by which Postfix asks for the LMTP address of a recipient. The protocol has no
 * authentication, and its replies tell which users exist: only this machine or the configured `clients` may ask.
 */
import type { Duplex } from 'node:stream'
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { plainAddress } from '../net/address.ts'
import type { World } from '../world.ts'
import { serveConnection } from './connection.ts'
import { answerRequest } from './lookup.ts'

/**
 * Connections at a time, of one worker. A Postfix has one for each of its processes that looks up transports: a few trivial-rewrite(8). More
 * would take descriptors from mail clients; a Postfix that is turned away tries again.
 */
const MAX_CONNECTIONS = 64

export type Delivery = {
  /** Serves a connection until its end. */
  accept: (socket: Duplex & { remoteAddress?: string | undefined }) => void
  /** Ends every connection at once. May be called twice. */
  close: () => void
}

export type DeliveryParts = {
  /** the world in force, asked anew for each connection and each request */
  world: () => Pick<World, 'router' | 'delivery'>
  log: Log
  metrics: Pick<Metrics, 'deliveryLookedUp'>
  maxConnections?: number
}

export function createDelivery({ world, log, metrics, maxConnections = MAX_CONNECTIONS }: DeliveryParts): Delivery {
  const open = new Set<Duplex>()
  const limit = createLogLimit<string>()

  async function answer(payload: Buffer): Promise<string | undefined> {
    const { router, delivery } = world()
    const recipientDelimiter = delivery?.recipientDelimiter ?? ''
    const reply = await answerRequest(payload, { router, recipientDelimiter }, (error, { outcome }) => {
      if (error.code === 'internal') return log.error({ err: error.cause ?? error }, 'defect')
      const others = limit(error.code)
      if (others) log.warn({ outcome, code: error.code, detail: error.message, ...others }, 'delivery lookup failed')
    })
    if (reply) metrics.deliveryLookedUp(reply.outcome)
    return reply?.text
  }

  /** One line a minute for each reason. */
  function noteClosed(reason: 'not-allowed' | 'too-many-connections' | 'malformed', client: string): void {
    const others = limit(reason)
    if (others) log.warn({ reason, client, ...others }, 'delivery connection closed')
  }

  return {
    accept(socket) {
      const client = plainAddress(socket.remoteAddress ?? '')
      const clients = world().delivery?.clients
      const isAllowed = clients === undefined || clients.has(client)
      if (!isAllowed || open.size >= maxConnections) {
        noteClosed(isAllowed ? 'too-many-connections' : 'not-allowed', client)
        socket.on('error', () => undefined)
        socket.destroy()
        return
      }
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      void serveConnection(socket, answer).then((end) => {
        if (end === 'malformed') noteClosed(end, client)
      })
    },
    close() {
      for (const socket of open) socket.destroy()
    },
  }
}
