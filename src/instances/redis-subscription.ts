/**
 * The connection on which messages arrive. It is one of its own: a subscribed connection takes no other commands. In a Cluster it leads
 * to one of the masters, since every node passes on what is published at any.
 */
import type { Endpoint, RedisSettings } from '../config/settings.ts'
import { hangUp, type RedisClient } from '../directory/redis/client.ts'
import { connectRedis, type CurrentSettings } from '../directory/redis/connection.ts'
import { causeOf } from '../directory/redis/errors.ts'
import { hostPort } from '../net/address.ts'

/** Interval of checks: a dead connection looks like silence. */
const CHECK_EVERY_MS = 5000
/** Pause after Redis has refused SUBSCRIBE, for a right that an operator must grant. */
const TRY_AGAIN_MS = 5000
/** Reports of the topology, 2 s apart, until a master that cannot be listened to is replaced by another. */
const PATIENT_REPORTS = 2

export type SubscriptionParts = {
  settings: RedisSettings
  current: CurrentSettings
  channels: readonly string[]
  onMessage: (channel: string, text: string) => void
  /** All channels are subscribed to. */
  onListening: () => void
  /** Redis refuses: the cause is in its own words. A lost connection is not reported: the one for commands is lost too. */
  onRefused: (cause: string) => void
}

type Line = { isListening: () => boolean; close: () => void }

export function openSubscription(
  { lookupServer }: Pick<RedisClient, 'lookupServer'>,
  parts: SubscriptionParts,
): { close: () => void } {
  if (lookupServer.kind === 'one') return openLine(parts, undefined)
  let line: (Line & { node: string }) | undefined
  let reports = 0
  let closed = false
  lookupServer.onMasters((masters, isWhole) => {
    if (closed || !isWhole) return
    const isMember = masters.some(({ host, port }) => hostPort(host, port) === line?.node)
    reports = line?.isListening() === true ? 0 : reports + 1
    if (line && isMember && reports <= PATIENT_REPORTS) return
    const others = masters.filter(({ host, port }) => hostPort(host, port) !== line?.node)
    // Any of them: the instances spread over the masters.
    const next = others[Math.floor(Math.random() * others.length)] ?? masters[0]
    if (!next) return
    line?.close()
    reports = 0
    line = { ...openLine(parts, next), node: hostPort(next.host, next.port) }
  })
  return {
    close() {
      closed = true
      line?.close()
    },
  }
}

function openLine(
  { settings, current, channels, onMessage, onListening, onRefused }: SubscriptionParts,
  node: Endpoint | undefined,
): Line {
  const { client, close } = connectRedis(settings, { protocol: 2, autoResubscribe: false }, node, current)
  let isListening = false
  let closed = false
  let timer: NodeJS.Timeout | undefined

  function later(what: () => void, ms: number): void {
    clearTimeout(timer)
    if (!closed) timer = setTimeout(what, ms)
  }
  async function subscribe(): Promise<void> {
    try {
      await client.subscribe(...channels)
    } catch (error) {
      // Without a connection the error is not Redis's answer.
      if (client.status === 'ready') onRefused(causeOf(error))
      later(() => hangUp(client), TRY_AGAIN_MS)
      return
    }
    isListening = true
    onListening()
    later(check, CHECK_EVERY_MS)
  }
  function check(): void {
    client.ping().then(
      () => later(check, CHECK_EVERY_MS),
      () => hangUp(client),
    )
  }

  client.on('ready', () => void subscribe())
  client.on('close', () => {
    isListening = false
    clearTimeout(timer)
  })
  client.on('error', () => undefined) // the connection for commands reports it
  client.on('message', onMessage)
  return {
    isListening: () => isListening,
    close() {
      closed = true
      clearTimeout(timer)
      close()
    },
  }
}
