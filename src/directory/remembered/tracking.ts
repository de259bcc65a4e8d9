/**
 * One Redis's own word that a route has changed (client-side caching, broadcast by key prefix). ioredis drops the pushes of RESP3, so
 * this is a connection of its own in RESP2 that redirects them to itself as messages.
 */
import type { NoteShortage } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { hangUp, identify, type ServerIdentity } from '../redis/client.ts'
import { causeOf, isOwnShortage } from '../redis/errors.ts'
import type { Connection } from '../redis/connection.ts'
import type { Redis } from 'ioredis'

const CHANNEL = '__redis__:invalidate'
/** How often the connection is asked whether it lives: pushes that do not come look just like routes that do not change. */
const CHECK_EVERY_MS = 2000
/** Redis says no to tracking for a reason that takes somebody to mend: an ACL, an old version. */
const TRY_AGAIN_MS = 5000
/** It is not the server that answers lookups, and will be another in a moment. */
const ASK_AGAIN_MS = 500

export type TrackingListener = {
  /** Who is at the other end of a new connection. */
  onIdentity: (server: ServerIdentity) => void
  /** Every change from now on will be told. */
  onTracked: () => void
  /** Changes may be missed from now on. Told at once, and more than once. */
  onLost: () => void
  /** @param user whose route has changed; undefined: any may have */
  onChanged: (user: string | undefined) => void
  /** The marker of the directory has changed, or may have. */
  onMarker: () => void
  /** Whether this is the server that answers lookups. An error is a no, for now. */
  isLookupServer: (server: ServerIdentity) => Promise<boolean>
  /** A node of a Cluster cannot be connected to for want of this machine's own means. */
  noteShortage?: NoteShortage | undefined
}

export type Tracking = {
  /** Asks now whether all is well, as something has changed. */
  check: () => void
  /** What answers lookups is gone, or may be another. */
  lost: () => void
  close: () => void
}

/**
 * @param keyPrefix before the user's name in each key
 * @param markerPrefix before all of the marker
 * @param node of a Cluster, as the log is to call it, which has nobody else to say that one of them is away
 */
export function startTracking(
  { client, close }: Connection<Redis>,
  { keyPrefix, markerPrefix }: { keyPrefix: string; markerPrefix: string },
  listener: TrackingListener,
  log: Log,
  node?: string,
): Tracking {
  let said: string | undefined
  let away: string | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false
  /** who is at the other end, once it tells; asked before, as a connection that has subscribed takes no other command */
  let server: ServerIdentity | undefined
  /** counts what has happened to the trust, so that a check which was overtaken has no say */
  let turn = 0

  function lose(): void {
    turn++
    listener.onLost()
  }
  function later(what: () => void, ms: number): void {
    clearTimeout(timer)
    if (!closed) timer = setTimeout(what, ms)
  }

  // In this order: what is told before the answer to the last is of no use to anybody.
  async function begin(): Promise<void> {
    const identity = await identify(client)
    listener.onIdentity(identity)
    const id = await client.client('ID')
    const prefixes = ['PREFIX', keyPrefix, 'PREFIX', markerPrefix]
    await client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', ...prefixes)
    await client.subscribe(CHANNEL)
    if (away !== undefined) log.info({ node }, 'directory node connected')
    said = away = undefined
    server = identity
    await check()
  }

  async function check(): Promise<void> {
    const [asked, at] = [turn, server]
    if (at === undefined) return
    try {
      await client.ping()
    } catch {
      if (at !== server) return
      lose() // now, not when the dead socket is given up
      hangUp(client)
      return
    }
    const known = await listener.isLookupServer(at).catch(() => undefined)
    if (turn !== asked || at !== server) return
    if (known === true) listener.onTracked()
    else lose()
    if (known === false) later(() => hangUp(client), ASK_AGAIN_MS)
    else later(() => void check(), CHECK_EVERY_MS)
  }

  client.on('ready', () => {
    begin().catch((error: unknown) => {
      // Without it every login asks Redis, which is slower and no less right; one line for each new cause.
      const cause = causeOf(error)
      if (cause !== said) log.error({ node, cause }, 'directory does not tell of changes')
      said = cause
      later(() => hangUp(client), TRY_AGAIN_MS)
    })
  })
  client.on('close', () => {
    server = undefined
    clearTimeout(timer)
    lose()
  })
  client.on('error', (error) => {
    if (node === undefined) return // whoever asks says it
    const cause = causeOf(error)
    if (isOwnShortage(error)) return listener.noteShortage?.('directory', `${node} cannot be connected to: ${cause}`)
    if (cause !== away) log.error({ node, cause }, 'directory node unavailable')
    away = cause
  })
  // The string event joins keys with commas, and names may hold one.
  client.on('messageBuffer', (_channel: Buffer, keys: unknown) => {
    const names = Array.isArray(keys) ? keys.map((key) => (Buffer.isBuffer(key) ? key.toString() : '')) : undefined
    // FLUSHALL sends nil; a PUBLISH of another client sends a text, and must not cost the routes that stand in.
    if (!names?.every((name) => name.startsWith(keyPrefix) || name.startsWith(markerPrefix))) {
      listener.onMarker()
      return listener.onChanged(undefined)
    }
    for (const name of names) {
      if (name.startsWith(keyPrefix)) listener.onChanged(name.slice(keyPrefix.length))
      else listener.onMarker()
    }
  })

  return {
    check: () => void check(),
    lost: lose,
    close() {
      closed = true
      clearTimeout(timer)
      close()
    },
  }
}
