/**
 * Many commands to Redis at a time, for commands of operators that read or write all routes: in pipelines, on connections of their own.
 * In a Cluster each command goes to the master of its key. A redirection of a slot that moves meanwhile is followed.
 */
import type { Redis } from 'ioredis'
import { sleep, systemAlarm } from '../../clock.ts'
import type { Endpoint, RedisSettings } from '../../config/settings.ts'
import { connectRedis } from './connection.ts'
import { BadAnswer, causeOf, RedisFailure } from './errors.ts'
import { checkClusterAnswer, slotOf } from './slots.ts'

/** A look-up of a name takes up to 5 seconds, and a login up to 2 more. */
const CONNECT_MS = 7000
/** Between two pieces of data from Redis. Longer than `timeout`, because no login waits. A timer for each command would take half of the time. */
const REPLY_MS = 10_000
/** A slot moves once, and its new master may not know of it yet. */
const MOST_REDIRECTIONS = 5
const REDIRECTED_PAUSE_MS = 200

export type BulkCommand = { key: string; words: readonly string[] }

export type Bulk = {
  /** Sends all at once. @returns the replies in their order, an Error for a command that Redis refuses. @throws RedisFailure */
  run(commands: readonly BulkCommand[]): Promise<unknown[]>
  /** Groups of which one script can have all keys: of any, and in a Cluster of one slot. */
  group<T>(items: readonly T[], keyOf: (item: T) => string, most: number): T[][]
  /** Pages of the keys of all masters. A key may be in two pages. @throws RedisFailure */
  scan(pattern: string, count: number): AsyncGenerator<string[]>
  close(): void
}

type Node = { client: Redis; close: () => void }

/** @throws RedisFailure */
export async function openBulk(settings: RedisSettings): Promise<Bulk> {
  /** Kept from the begin of the connection: several pipelines may need it at once. */
  const nodes = new Map<string, Promise<Node>>()
  const { servers } = settings
  /** by slot: the name of the master; empty without a Cluster */
  let owners: string[] = []

  function nodeAt(name: string, endpoint: Endpoint | undefined): Promise<Node> {
    const known = nodes.get(name)
    if (known) return known
    const node = connect(settings, endpoint)
    nodes.set(name, node)
    node.catch(() => nodes.delete(name))
    return node
  }

  async function readOwners(): Promise<void> {
    if (servers.kind !== 'cluster') return
    const known = owners.length > 0 ? [...new Set(owners)].map(parsePlace) : servers.nodes
    let failure: unknown = new RedisFailure('no node of the Cluster answers')
    for (const endpoint of known) {
      try {
        const { client } = await nodeAt(placeOf(endpoint), endpoint)
        owners = ownersOf(checkClusterAnswer(await client.call('CLUSTER', 'SLOTS')), endpoint)
        return
      } catch (error) {
        failure = error
      }
    }
    throw toFailure(failure)
  }

  const ownerOf = (key: string): string => (servers.kind === 'cluster' ? (owners[slotOf(key)] ?? '') : '')

  async function runOnce(commands: readonly BulkCommand[]): Promise<unknown[]> {
    const byOwner = new Map<string, number[]>()
    for (const [index, { key }] of commands.entries()) {
      const owner = ownerOf(key)
      const indexes = byOwner.get(owner)
      if (indexes) indexes.push(index)
      else byOwner.set(owner, [index])
    }
    const replies = new Array<unknown>(commands.length)
    await Promise.all(
      [...byOwner].map(async ([owner, indexes]) => {
        if (owner === '' && servers.kind === 'cluster') throw new RedisFailure('a slot of the Cluster has no master')
        const { client } = await nodeAt(owner, owner === '' ? undefined : parsePlace(owner))
        const sent = await client.pipeline(indexes.map((index) => [...(commands[index]?.words ?? [])])).exec()
        for (const [at, [error, reply]] of (sent ?? []).entries()) replies[indexes[at] ?? 0] = error ?? reply
      }),
    )
    return replies
  }

  async function run(commands: readonly BulkCommand[]): Promise<unknown[]> {
    try {
      const replies = await runOnce(commands)
      for (let attempt = 0; attempt < MOST_REDIRECTIONS; attempt++) {
        const again = [...replies.keys()].filter((index) => isRedirection(replies[index]))
        if (again.length === 0) break
        await sleep(systemAlarm, attempt * REDIRECTED_PAUSE_MS)
        await readOwners()
        const second = await runOnce(again.flatMap((index) => commands[index] ?? []))
        for (const [at, index] of again.entries()) replies[index] = second[at]
      }
      const lost = replies.find((reply) => reply instanceof Error && !isReply(reply))
      if (lost !== undefined) throw toFailure(lost)
      return replies
    } catch (error) {
      throw toFailure(error)
    }
  }

  async function* scan(pattern: string, count: number): AsyncGenerator<string[]> {
    const names = servers.kind === 'cluster' ? [...new Set(owners)].sort() : ['']
    for (const name of names) {
      try {
        const { client } = await nodeAt(name, name === '' ? undefined : parsePlace(name))
        let cursor = '0'
        do {
          const [next, keys] = await client.scan(cursor, 'MATCH', pattern, 'COUNT', count)
          if (keys.length > 0) yield keys
          cursor = next
        } while (cursor !== '0')
      } catch (error) {
        throw toFailure(error)
      }
    }
  }

  function group<T>(items: readonly T[], keyOf: (item: T) => string, most: number): T[][] {
    const open = new Map<number, T[]>()
    const groups: T[][] = []
    for (const item of items) {
      const slot = servers.kind === 'cluster' ? slotOf(keyOf(item)) : 0
      const current = open.get(slot)
      if (current && current.length < most) current.push(item)
      else {
        const next = [item]
        open.set(slot, next)
        groups.push(next)
      }
    }
    return groups
  }

  function close(): void {
    for (const node of nodes.values())
      node.then(
        (opened) => opened.close(),
        () => undefined,
      )
  }

  try {
    if (servers.kind === 'cluster') await readOwners()
    else await nodeAt('', undefined)
  } catch (error) {
    close()
    throw error
  }
  return { run, group, scan, close }
}

const OPTIONS = { protocol: 2, autoResubscribe: false, socketTimeout: REPLY_MS, isBulk: true } as const

async function connect(settings: RedisSettings, node: Endpoint | undefined): Promise<Node> {
  const { client, close } = connectRedis(settings, OPTIONS, node)
  let cause: unknown
  let timer: NodeJS.Timeout | undefined
  client.on('error', (error) => (cause = error))
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('ready', () => resolve())
      timer = setTimeout(() => reject(new RedisFailure(causeOf(cause ?? new RedisFailure('no answer')))), CONNECT_MS)
    })
    return { client, close }
  } catch (error) {
    close()
    throw toFailure(error)
  } finally {
    clearTimeout(timer)
  }
}

/** @param asked the node that has answered: an empty address stands for it */
function ownersOf(answer: unknown, asked: Endpoint): string[] {
  const owners: string[] = []
  if (!Array.isArray(answer)) throw new BadAnswer('CLUSTER SLOTS was answered in another form')
  for (const range of answer as [number, number, [string | null, number]][]) {
    const [first, last, [host, port]] = range
    const place = placeOf({ host: host === null || host === '' ? asked.host : host, port })
    owners.fill(place, first, last + 1)
    for (let slot = first; slot <= last; slot++) owners[slot] = place
  }
  return owners
}

const placeOf = ({ host, port }: Endpoint): string => `${port} ${host}`

function parsePlace(place: string): Endpoint {
  const space = place.indexOf(' ')
  return { port: Number(place.slice(0, space)), host: place.slice(space + 1) }
}

const isRedirection = (reply: unknown): boolean =>
  reply instanceof Error && /^(?:MOVED|ASK|TRYAGAIN)\b/u.test(reply.message)

/** Of this command alone, and not of the connection. */
const isReply = (error: Error): boolean => /^(?:[A-Z]{3,} |.*\bWRONGTYPE\b)/u.test(error.message)

function toFailure(error: unknown): RedisFailure {
  if (error instanceof RedisFailure) return error
  return new RedisFailure(`Redis: ${causeOf(error)}`)
}
