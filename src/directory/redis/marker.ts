/**
 * A key by which a directory that has lost its data is told from one that holds none yet: by eviction, by FLUSHALL, by a restart
 * without persistence, by another data set. mailmux writes it at the first start, and remembers that it has seen it. Where it is
 * missing later, or is another, no answer of the directory counts: its users would be placed on other stores, or be told that their
 * password is wrong.
 *
 * The marker is a hash: `id` is random; `lost` is there from the discovery of a loss until an operator removes it; `after` is the id
 * before the loss, by which an instance that was away takes the new one for accepted; `settled` is the id again, once other instances
 * have had time to declare a loss (marker-youth.ts). In a Cluster each master may lose its data by itself. So there are parts besides, one in each 256th of the slots, and a route that is missing counts only while the part beside it is there.
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

/** While the directory does not count: how often it is asked whether an operator has accepted it. */
const CHECK_EVERY_MS = 2000
/** A part must be missing for so long: the instance that accepts a directory writes the parts one by one. */
const CONFIRM_MS = 5000

export type Marker = {
  /** The connection was lost. */
  disconnected(): void
  /**
   * Checks all of the marker, from now on: what a check that is under way has read before does not count.
   * @throws MuxError `directory-unavailable`; DataLost
   */
  check(): Promise<void>
  /** Whether answers count. A promise only where that is to be found out first. @throws as `check` */
  mayRead(): Promise<void> | undefined
  /** To be asked after the directory has had no route: whether that is so because it has lost it. Waits while the marker is young. @throws as `check` */
  confirmAbsence(routeKey: string): Promise<void>
  /** Whether a user may be placed, because missing routes count. Waits while the marker is young. @throws as `check` */
  mayReserve(): Promise<void>
  /** Another worker has seen this marker. It counts where this one has seen none. */
  learn: (id: string) => void
  /** The id that was seen last, to be kept for the next start. */
  id: () => string | undefined
  close(): void
}

export type MarkerState = 'sound' | 'lost' | 'away'

export type MarkerOptions = {
  redis: Pick<RedisClient, 'hmget' | 'hset' | 'hsetnx'>
  prefix: string
  isCluster: boolean
  /** from another worker or the snapshot; undefined: none was ever seen */
  seen: string | undefined
  /** told of the id that the directory shows, and of each other one after that */
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
  /** counts the reasons for a check; one that has read the marker before the last reason says nothing */
  let wanted = 1
  let checked = 0
  /** a user of Redis without the right to the marker is no loss */
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

  /** @returns undefined where the key cannot be read: for want of a right, or in a Cluster because its master is away */
  async function readMain(): Promise<Fields | undefined> {
    try {
      return await readFields()
    } catch (error) {
      if (isForbidden(error)) giveUp(key, error)
      else if (!isCluster) throw new MuxError('directory-unavailable', `Redis: ${causeOf(error)}`, error)
      return undefined
    }
  }

  /** @returns whether it is written; false where the user of Redis may not write */
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
    // A marker that is whole but another keeps its id: so all instances agree on what is to be accepted.
    const id = found.id !== null && found.id !== known ? found.id : randomUUID()
    // Settled, as the operator's acceptance says more than any wait.
    const fields = { id, after: known ?? '', lost: new Date().toISOString(), settled: id }
    await write(key, () => redis.hset(key, fields)).catch(ignore)
    return refuse()
  }

  /** What the main key says, whatever has become of the parts. */
  async function judge(found: Fields): Promise<void> {
    if (found.lost !== null) {
      if (known === undefined && found.after !== null) know(found.after) // the parts are written by an instance that sees the loss accepted
      return refuse()
    }
    if (found.id === null) return known === undefined ? writeFirst() : declareLost(found)
    if (known !== undefined && known !== found.id) {
      if (known !== found.after) return declareLost(found)
      know(found.id)
      await writeParts(found.id)
    }
    know(found.id)
    // Without the right to write it, or without an answer, each instance waits for itself.
    if (youth.see(found.id, found.settled)) await redis.hset(key, { settled: found.id }).catch(ignore)
  }

  async function writeFirst(): Promise<void> {
    const id = randomUUID()
    await writeParts(id)
    // HSETNX: where two instances start at once, both must have the marker of the one that was first.
    if (!(await write(key, () => redis.hsetnx(key, 'id', id)))) return
    const written = await readFields()
    if (written.id !== null) return judge(written)
    if (knownNow() !== undefined) return declareLost(written) // another worker has told of a marker meanwhile
  }

  /** @returns whether any, or all, of them could be asked. A master that is away has lost nothing for that. */
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

  /** Joins the check that is under way, which begins anew where it has read the marker before this. */
  function check(): Promise<void> {
    wanted++
    underWay ??= checkUntilCurrent()
      .catch((error: unknown) => {
        enter(state === 'lost' ? 'lost' : 'away') // also sets the time of the next check
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
