/**
 * Handles the requests of one connection one after the other, as a mail dialogue does: the next one waits until the answer to the
 * last one is sent. A client that pipelines and reads nothing would otherwise have all answers built for it at once.
 */
import type { Socket } from 'node:net'
import type { Http2Bindings, HttpBindings } from '@hono/node-server'

/** Requests that may wait on one connection. No scraper, check or operator pipelines; more would only be memory. */
const MAX_WAITING = 16

/** `isSocket`: see `AdminBindings` */
export type Fetch = (
  request: Request,
  env: (HttpBindings | Http2Bindings) & { isSocket?: true },
) => Response | Promise<Response>

/** @returns the same, in turn; the connection of a client with more than 16 waiting requests is closed */
export function inTurn(fetch: Fetch): Fetch {
  const connections = new WeakMap<Socket, { busy: boolean; waiting: (() => void)[] }>()

  return (request, env) => {
    const { incoming, outgoing } = env
    const { socket } = incoming
    const connection = connections.get(socket) ?? { busy: false, waiting: [] }
    connections.set(socket, connection)
    const handle = (): Response | Promise<Response> => {
      connection.busy = true
      // Comes once the answer is sent, or the connection is closed.
      outgoing.once('close', () => {
        connection.busy = false
        connection.waiting.shift()?.()
      })
      return socket.destroyed ? new Response() : fetch(request, env)
    }
    if (!connection.busy) return handle()
    if (connection.waiting.length >= MAX_WAITING) {
      socket.destroy()
      return new Response()
    }
    return new Promise<Response>((resolve) => connection.waiting.push(() => resolve(handle())))
  }
}
