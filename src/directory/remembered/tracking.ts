/**
 * Receives the messages of one Redis about changed keys (client-side caching, broadcast by key prefix). ioredis drops the pushes of
 * RESP3, so this uses a separate connection in RESP2, which redirects the pushes to itself as messages.
 */
import type { NoteShortage } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { hangUp, identify, type ServerIdentity } from '../redis/client.ts'
import { causeOf, isOwnShortage } from '../redis/errors.ts'
import type { Connection } from '../redis/connection.ts'
import type { Redis } from 'ioredis'

const CHANNEL = '__redis__:invalidate'
/** Interval of checks of the connection: lost messages look like routes that do not change. */
const CHECK_EVERY_MS = 2000
/** Pause after Redis has refused tracking, for a reason that an operator must remove: an ACL or an old version. */
const TRY_AGAIN_MS = 5000
/** Pause if the server is not the one that answers lookups, which may change soon. */
const ASK_AGAIN_MS = 500

export type TrackingListener = {
  /** The identity of the server of a new connection. */
  onIdentity: (server: ServerIdentity) => void
  /** Each change from now on is reported. */
  onTracked: () => void
  /** Changes may be missed from now on. Called immediately, and possibly several times. */
  onLost: () => void
  /** @param user whose route has changed; undefined if any may have */
  onChanged: (user: string | undefined) => void
  /** The marker of the directory has changed, or may have. */
  onMarker: () => void
  /** @param backend whose state has changed; undefined if any may have */
  onBackend: (backend: string | undefined) => void
  /** The server does not answer. */
  onSilent: () => void
  /** Whether this is the server that answers lookups. An error counts as no, until the next check. */
  isLookupServer: (server: ServerIdentity) => Promise<boolean>
  /** Called if a node of a Cluster cannot be reached because this machine lacks resources. */
  noteShortage?: NoteShortage | undefined
}

/** `user` and `backend` precede the name in each key. */
export type TrackedPrefixes = { user: string; backend: string; marker: string }

export type Tracking = {
  /** Checks the connection now, because something has changed. */
  check: () => void
  /** Must be called when the server for lookups is lost, or may be another one. */
  lost: () => void
  close: () => void
}

/**
 * @param prefixes of all keys whose changes are reported
 * @param node of a Cluster, for the log; no other module logs that one node is unavailable
 */
export function startTracking(
  { client, close }: Connection<Redis>,
  prefixes: TrackedPrefixes,
  listener: TrackingListener,
  log: Log,
  node?: string,
): Tracking {
  let said: string | undefined
  let away: string | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false
  /** the identity of the server; read before SUBSCRIBE, because a subscribed connection accepts no other command */
  let server: ServerIdentity | undefined
  /** counts the losses, so that an outdated check has no effect */
  let turn = 0

  function lose(): void {
    turn++
    listener.onLost()
  }
  function later(what: () => void, ms: number): void {
    clearTimeout(timer)
    if (!closed) timer = setTimeout(what, ms)
  }

  // In this order: messages that arrive before the reply to SUBSCRIBE are ignored.
  async function begin(): Promise<void> {
    const identity = await identify(client)
    listener.onIdentity(identity)
    const id = await client.client('ID')
    const words = Object.values(prefixes).flatMap((prefix) => ['PREFIX', prefix])
    await client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), 'BCAST', ...words)
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
      lose() // now, not when the dead socket is closed
      hangUp(client)
      listener.onSilent()
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
      // Without tracking each login asks Redis, which is slower but correct. One line for each new cause.
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
    if (node === undefined) return // the client for lookups logs it
    const cause = causeOf(error)
    if (isOwnShortage(error)) return listener.noteShortage?.('directory', `${node} cannot be connected to: ${cause}`)
    if (cause !== away) log.error({ node, cause }, 'directory node unavailable')
    away = cause
  })
  // The string event joins keys with commas, and names may hold one.
  client.on('messageBuffer', (_channel: Buffer, keys: unknown) => {
    const names = Array.isArray(keys) ? keys.map((key) => (Buffer.isBuffer(key) ? key.toString() : '')) : undefined
    // FLUSHALL sends nil. A PUBLISH of another client sends a text, and must not remove the routes that stand in.
    if (!names?.every((name) => Object.values(prefixes).some((prefix) => name.startsWith(prefix)))) {
      listener.onMarker()
      listener.onBackend(undefined)
      return listener.onChanged(undefined)
    }
    const { user, backend } = prefixes
    for (const name of names) {
      if (name.startsWith(user)) listener.onChanged(name.slice(user.length))
      else if (name.startsWith(backend)) listener.onBackend(name.slice(backend.length))
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
