/**
 * A key that distinguishes a directory that has lost its data from a new one. Eviction, FLUSHALL, a restart without persistence or
 * another data set lose it. mailmux writes the marker at the first start and remembers its id. If the marker is missing later, or has
 * another id, no answer of the directory counts: its users would be placed on other stores, or be refused as unknown.
 *
 * The marker is a hash. `id` is random. `lost` exists from the discovery of a loss until an operator removes it. `after` is the id
 * before the loss, by which an instance that was disconnected accepts the new id. `settled` equals `id` once other instances have had
 * time to declare a loss (marker-youth.ts). In a Cluster each master can lose its data separately. There are therefore further keys,
 * the parts: one in each group of 256 slots. A missing route counts only while the part of its group exists.
 * Over 250 lines: it is one state machine, and the loss of data is declared from several of its steps.
 */
import { randomUUID } from 'node:crypto'
import { MuxError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { createMarkerYouth } from './marker-youth.ts'
import type { RedisClient } from './client.ts'
import { causeOf, isForbidden } from './errors.ts'
import { partKeys, partNumber } from './slots.ts'
import { DataLost } from '../errors.ts'

const FIELDS = ['id', 'after', 'lost', 'settled'] as const
const AWAY = 'the directory cannot be asked'

/** Interval of checks while the directory does not count, for example whether an operator has accepted it. */
const CHECK_EVERY_MS = 2000
/** A part counts as lost after this time: the instance that accepts a directory writes the parts one by one. */
const CONFIRM_MS = 5000

export type Marker = {
  /** The connection was lost. */
  disconnected(): void
  /**
   * Checks the marker and its parts. What a running check has read before this call does not count.
   * @throws MuxError `directory-unavailable`; DataLost
   */
  check(): Promise<void>
  /** Resolves if answers count; undefined if that is known already. @throws as `check` */
  mayRead(): Promise<void> | undefined
  /** Must be called when the directory has no route: checks that it has not lost the route. Waits while the marker is young. @throws as `check` */
  confirmAbsence(routeKey: string): Promise<void>
  /** Resolves if a user may be placed, because missing routes count. Waits while the marker is young. @throws as `check` */
  mayReserve(): Promise<void>
  /** Takes over the id that another worker has seen, if this one has seen none. */
  learn: (id: string) => void
  /** The id that was seen last, for the snapshot. */
  id: () => string | undefined
  close(): void
}

export type MarkerState = 'sound' | 'lost' | 'away'

export type MarkerOptions = {
  redis: Pick<RedisClient, 'hmget' | 'hset' | 'hsetnx'>
  prefix: string
  isCluster: boolean
  /** from another worker or the snapshot; undefined if none was ever seen */
  seen: string | undefined
  /** called with the id that the directory shows, and again when it changes */
  onSeen?: (id: string) => void
  log: Log
  /** called at each change */
  onState: (state: MarkerState) => void
  nowMs: () => number
}

type Fields = Record<'id' | 'after' | 'lost' | 'settled', string | null>

export function createMarker(options: MarkerOptions): Marker {
  const { redis, prefix, isCluster, seen, onSeen = ignore, log, onState, nowMs } = options
  const key = `${prefix}marker`
  const parts = isCluster ? partKeys(key) : []
  let known = seen
  let told: string | undefined
  let state: MarkerState | undefined
  /** counts the reasons for a check; the result of a check that started before the last reason does not count */
  let wanted = 1
  let checked = 0
  /** the Redis user lacks the right to the marker, which is no loss of data */
  let unprotected = false
  let warned = false
  let missingSinceMs: number | undefined
  let underWay: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false
  const youth = createMarkerYouth(() => void check().catch(ignore))

  function enter(next: MarkerState): void {
    clearTimeout(timer)
    if (next !== 'sound' && !closed) timer = setTimeout(() => void check().catch(ignore), CHECK_EVERY_MS).unref()
    if (next !== 'sound') youth.end(next === 'lost' ? loss() : new MuxError('directory-unavailable', AWAY))
    if (state === next) return
    const before = state
    state = next
    if (next === 'lost') log.error({ key, accept: `HDEL ${key} lost` }, 'directory has lost its data')
    if (before === 'lost' && next === 'sound') log.info({ key }, 'directory accepted as it is')
    onState(next)
  }

  const loss = (): DataLost => new DataLost(`the directory has lost its data; to accept it as it is: HDEL ${key} lost`)
  function refuse(): never {
    enter('lost')
    throw loss()
  }

  function giveUp(at: string, error: unknown): void {
    unprotected = true
    if (!warned) log.warn({ key: at, cause: causeOf(error) }, 'directory has no marker')
    warned = true
  }

  const isUnprotected = (): boolean => unprotected
  const knownNow = (): string | undefined => known

  function know(id: string): void {
    known = id
    if (id === told) return
    told = id
    onSeen(id)
  }

  async function readFields(): Promise<Fields> {
    const [id = null, after = null, lost = null, settled = null] = await redis.hmget(key, ...FIELDS)
    return { id, after, lost, settled }
  }

  /** @returns undefined if the key cannot be read: without the right to it, or in a Cluster while its master is unavailable */
  async function readMain(): Promise<Fields | undefined> {
    try {
      return await readFields()
    } catch (error) {
      if (isForbidden(error)) giveUp(key, error)
      else if (!isCluster) throw new MuxError('directory-unavailable', `Redis: ${causeOf(error)}`, error)
      return undefined
    }
  }

  /** @returns whether it is written; false if the Redis user lacks the right */
  async function write(at: string, command: () => Promise<void>): Promise<boolean> {
    try {
      await command()
      return true
    } catch (error) {
      if (!isForbidden(error)) throw error
      giveUp(at, error)
      return false
    }
  }

  async function writeParts(id: string): Promise<void> {
    for (const part of parts) if (!(await write(part, () => redis.hset(part, { id })))) return
  }

  async function declareLost(found: Fields): Promise<never> {
    if (found.lost !== null) return refuse()
    // A complete marker with another id keeps that id, so that all instances agree on what the operator accepts.
    const id = found.id !== null && found.id !== known ? found.id : randomUUID()
    // Settled, because the operator's acceptance replaces the wait.
    const fields = { id, after: known ?? '', lost: new Date().toISOString(), settled: id }
    await write(key, () => redis.hset(key, fields)).catch(ignore)
    return refuse()
  }

  /** Evaluates the main key, without the parts. */
  async function judge(found: Fields): Promise<void> {
    if (found.lost !== null) {
      if (known === undefined && found.after !== null) know(found.after) // the instance that sees the acceptance writes the parts
      return refuse()
    }
    if (found.id === null) return known === undefined ? writeFirst() : declareLost(found)
    if (known !== undefined && known !== found.id) {
      if (known !== found.after) return declareLost(found)
      know(found.id)
      await writeParts(found.id)
    }
    know(found.id)
    // Without the right to write it, or without a reply, each instance waits separately.
    if (youth.see(found.id, found.settled)) await redis.hset(key, { settled: found.id }).catch(ignore)
  }

  async function writeFirst(): Promise<void> {
    const id = randomUUID()
    await writeParts(id)
    // HSETNX: if two instances start at once, both must use the marker of the first.
    if (!(await write(key, () => redis.hsetnx(key, 'id', id)))) return
    const written = await readFields()
    if (written.id !== null) return judge(written)
    if (knownNow() !== undefined) return declareLost(written) // another worker has reported a marker meanwhile
  }

  /** @returns whether some and all of the parts could be read. An unavailable master has not lost its data. */
  async function checkParts(which: readonly string[]): Promise<{ some: boolean; all: boolean }> {
    const found = await Promise.allSettled(which.map((part) => redis.hmget(part, 'id')))
    if (found.some((one) => one.status === 'fulfilled' && one.value[0] === null)) {
      missingSinceMs ??= nowMs()
      if (nowMs() - missingSinceMs >= CONFIRM_MS) return declareLost(await readFields())
      if (state !== 'lost') enter('away')
      throw new MuxError('directory-unavailable', 'a part of the directory has no marker, and may have lost its data')
    }
    const answered = found.filter((one) => one.status === 'fulfilled').length
    return { some: answered > 0, all: answered === which.length }
  }

  async function checkOnce(): Promise<void> {
    unprotected = false
    const main = await readMain()
    if (main) await judge(main)
    if (isUnprotected()) return
    const { some } = await checkParts(parts)
    if (!main && !some) throw new MuxError('directory-unavailable', 'no master of the Cluster answers')
    missingSinceMs = undefined
  }

  async function checkUntilCurrent(): Promise<void> {
    do {
      const reason = wanted
      await checkOnce()
      checked = reason
    } while (checked !== wanted)
    enter('sound')
  }

  /** Joins the running check, which starts again if it has read the marker before this call. */
  function check(): Promise<void> {
    wanted++
    underWay ??= checkUntilCurrent()
      .catch((error: unknown) => {
        enter(state === 'lost' ? 'lost' : 'away') // also schedules the next check
        throw error
      })
      .finally(() => {
        underWay = undefined
      })
    return underWay
  }

  function mayRead(): Promise<void> | undefined {
    if (state === 'sound' && checked === wanted) return undefined
    return state === 'lost' ? Promise.reject(loss()) : (underWay ?? check())
  }

  async function isPartThere(routeKey: string): Promise<boolean> {
    const part = parts[partNumber(routeKey)]
    return part === undefined || (await checkParts([part])).all
  }

  return {
    disconnected() {
      wanted++
      if (state === 'sound') enter('away')
    },
    check,
    mayRead,
    async confirmAbsence(routeKey) {
      if (unprotected) return
      const main = await readMain()
      if (main && (main.id !== known || main.lost !== null)) await check()
      else if (!(await isPartThere(routeKey)))
        throw new MuxError('directory-unavailable', 'the marker of this part of the directory cannot be read')
      await youth.over()
    },
    async mayReserve() {
      await mayRead()
      await youth.over()
    },
    learn(id) {
      known ??= id
    },
    id: () => known,
    close() {
      closed = true
      clearTimeout(timer)
      youth.end(new MuxError('directory-unavailable', AWAY))
    },
  }
}

const ignore = (): void => undefined
