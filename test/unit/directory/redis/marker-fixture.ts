/** A marker of the directory over a store in memory, as each instance has one. */
import type { TestContext } from 'node:test'
import { YOUNG_MS } from '../../../../src/directory/redis/marker-youth.ts'
import { createMarker, type MarkerState } from '../../../../src/directory/redis/marker.ts'
import { silent } from '../scripted-redis.ts'

export const KEY = 'mailmux:marker'

/** No monotonic clock of a process begins at 0. */
const STARTED_MS = 1_000_000

/** A Redis that only knows hashes, and may refuse. */
export function createStore() {
  const hashes = new Map<string, Record<string, string>>()
  const store = { hashes, refuse: (_key: string, _writes: boolean): Error | undefined => undefined }
  const redis = {
    async hmget(key: string, ...fields: string[]): Promise<(string | null)[]> {
      const error = store.refuse(key, false)
      if (error) throw error
      return Promise.resolve(fields.map((field) => hashes.get(key)?.[field] ?? null))
    },
    async hset(key: string, fields: Readonly<Record<string, string>>): Promise<void> {
      const error = store.refuse(key, true)
      if (error) throw error
      hashes.set(key, { ...hashes.get(key), ...fields })
      return Promise.resolve()
    },
    async hsetnx(key: string, field: string, value: string): Promise<void> {
      const error = store.refuse(key, true)
      if (error) throw error
      hashes.set(key, { [field]: value, ...hashes.get(key) })
      return Promise.resolve()
    },
  }
  /** What an operator types to accept the directory as it is. */
  const accept = (): void => {
    const { lost: _, ...rest } = hashes.get(KEY) ?? {}
    hashes.set(KEY, rest)
  }
  return { ...store, store, redis, accept }
}

export function openInstance(
  t: TestContext,
  { redis }: ReturnType<typeof createStore>,
  { seen, isCluster = false }: { seen?: string | undefined; isCluster?: boolean } = {},
) {
  const states: MarkerState[] = []
  const told: string[] = []
  const clock = { nowMs: 0 }
  const lines: string[] = []
  const say = (line: object | string, text = ''): void => void lines.push(`${text} ${JSON.stringify(line)}`)
  const marker = createMarker({
    redis,
    prefix: 'mailmux:',
    isCluster,
    seen,
    onSeen: (id) => told.push(id),
    log: { ...silent, info: say, warn: say, error: say },
    onState: (state) => states.push(state),
    nowMs: () => STARTED_MS + clock.nowMs,
  })
  t.after(() => marker.close())
  return { marker, states, clock, seen: told, lines }
}

export const LOST = { code: 'directory-unavailable', message: /has lost its data.*HDEL mailmux:marker lost/u }
export const UNAVAILABLE = { code: 'directory-unavailable' }

/** Lets the time pass in which a marker is young. The test has mocked `setTimeout`. */
export async function passYouth(t: TestContext): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  t.mock.timers.tick(YOUNG_MS)
  await new Promise((resolve) => setImmediate(resolve))
}
