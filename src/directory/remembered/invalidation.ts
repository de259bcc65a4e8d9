/**
 * Redis's messages on changed routes, from one server or from each master of a Cluster. Cached routes count only while all of these
 * connections are tracked, and lead to the servers that answer lookups: a connection to a former master gets no messages, and looks
 * healthy.
 */
import type { Endpoint, RedisSettings } from '../../config/settings.ts'
import type { NoteShortage } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { hostPort } from '../../net/address.ts'
import type { LookupServer, RedisClient, ServerIdentity } from '../redis/client.ts'
import { connectRedis, type CurrentSettings } from '../redis/connection.ts'
import { startTracking, type Tracking } from './tracking.ts'
import { createTrackingState } from './tracking-state.ts'

export type InvalidationListener = {
  /** Each change from now on causes a call. */
  onTracking: () => void
  /** Changes may be missed from now on. */
  onLost: () => void
  /** @param user whose route has changed; undefined if any may have */
  onChanged: (user: string | undefined) => void
  /** The marker of the directory has changed, or may have. */
  onMarker: () => void
  /** @param backend whose state has changed; undefined if any may have */
  onBackend: (backend: string | undefined) => void
  /** @param policy `maxmemory_policy` of a server */
  onEvictionPolicy: (policy: string) => void
  noteShortage?: NoteShortage | undefined
}

/**
 * @param current the same settings with the current passwords and keys
 * @returns a function that closes the connections
 */
export function openRedisInvalidation(
  settings: RedisSettings,
  { lookupServer, exists }: Pick<RedisClient, 'lookupServer' | 'exists'>,
  log: Log,
  listener: InvalidationListener,
  current: CurrentSettings = () => settings,
): () => void {
  const trackingState = createTrackingState(listener.onTracking, listener.onLost)
  const trackings = new Map<string, Tracking>()
  let closed = false
  const { prefix } = settings
  const prefixes = { user: `${prefix}user:`, backend: `${prefix}backend:`, marker: `${prefix}marker` }
  const noteIdentity = ({ evictionPolicy }: ServerIdentity): void => {
    if (evictionPolicy !== undefined) listener.onEvictionPolicy(evictionPolicy)
  }

  function follow(name: string, node: Endpoint | undefined, isLookupServer: IsLookupServer): Tracking {
    trackingState.add(name)
    const tracking = startTracking(
      connectRedis(settings, { protocol: 2, autoResubscribe: false }, node, current),
      prefixes,
      {
        onIdentity: noteIdentity,
        onTracked: () => trackingState.tracked(name),
        onLost: () => trackingState.lost(name),
        // An idle worker has no lookup that would show the outage in its log and in the metric.
        onSilent: () => void exists(prefixes.marker).catch(() => undefined),
        onChanged: listener.onChanged,
        onMarker: listener.onMarker,
        onBackend: listener.onBackend,
        isLookupServer,
        noteShortage: listener.noteShortage,
      },
      log,
      node && name,
    )
    trackings.set(name, tracking)
    return tracking
  }

  if (lookupServer.kind === 'one')
    followOne(lookupServer, settings, noteIdentity, (isLookupServer) => follow('', undefined, isLookupServer))
  else
    lookupServer.onMasters((masters, whole) => {
      if (closed) return // an answer about the topology may arrive later
      const wanted = new Map(masters.map((node) => [hostPort(node.host, node.port), node]))
      for (const [name, node] of wanted) if (!trackings.has(name)) follow(name, node, isMaster)
      if (!whole) return
      for (const [name, tracking] of trackings) {
        if (wanted.has(name)) continue
        tracking.close()
        trackings.delete(name)
        trackingState.remove(name)
      }
    })
  return () => {
    closed = true
    for (const tracking of trackings.values()) tracking.close()
  }
}

type IsLookupServer = (server: ServerIdentity) => Promise<boolean>

/** The topology of a Cluster selects the node for a key; the node itself reports whether it is still a master. */
const isMaster: IsLookupServer = ({ role }) => Promise.resolve(role === 'master')

function followOne(
  lookupServer: Extract<LookupServer, { kind: 'one' }>,
  { servers }: RedisSettings,
  noteIdentity: (server: ServerIdentity) => void,
  follow: (isLookupServer: IsLookupServer) => Tracking,
): void {
  const tracking = follow(async (server) => {
    const answering = await lookupServer.identify()
    noteIdentity(answering)
    // A demoted server still answers. A single Redis may be a replica on purpose.
    if (servers.kind === 'sentinels' && answering.role !== 'master') {
      lookupServer.reconnect()
      return false
    }
    return answering.runId === server.runId
  })
  lookupServer.onChange((connected) => {
    tracking.lost()
    if (connected) tracking.check()
  })
}
