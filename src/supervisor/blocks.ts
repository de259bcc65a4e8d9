/** Orders of operators to block addresses and users: kept by this instance or in Redis, and brought into force on every instance. */
import type { BlockAnswer, BlockOrders, BlocksListed } from '../admin/block-routes.ts'
import type { EndedAnswer } from '../admin/answers.ts'
import { findObjection, readTarget, type Block, type BlockTarget, type Protected } from '../blocks/block.ts'
import { createBlocks, MOST_BLOCKS, type Applied, type BlockStore } from '../blocks/blocks.ts'
import { toEpochMs } from '../clock.ts'
import type { Settings } from '../config/settings.ts'
import type { WorkerPool } from './worker-pool.ts'

const TICK_MS = 1000

export type BlockKeeperParts = {
  pool: Pick<WorkerPool, 'setBlocks'>
  /** undefined: this instance alone has its blocks */
  store: () => BlockStore | undefined
  settings: () => Settings
  /** Has all instances read the store. */
  refreshAll: () => Promise<EndedAnswer>
}

export type BlockKeeper = {
  orders: BlockOrders
  /** Reads the store of blocks, for another instance that has changed it. @throws Error */
  refresh: () => Promise<Applied>
  /** those in force, for the generation that takes the place of this one */
  inForce: () => readonly Block[]
  /** Takes over those of the generation before. Does not fail. */
  adopt: (blocks: readonly Block[]) => Promise<void>
  /** Moves to the store of now. Does not fail. */
  follow(): Promise<void>
  stop(): void
}

/** Reads the store in the background. */
export function keepBlocks({ pool, store, settings, refreshAll }: BlockKeeperParts): BlockKeeper {
  const nowMs = (): number => Math.round(toEpochMs(performance.now()))
  let inUse = store()
  const blocks = createBlocks({ store: inUse, apply: pool.setBlocks, nowMs })
  let isTicking = false
  const timer = setInterval(() => {
    if (isTicking) return
    isTicking = true
    void blocks.tick().finally(() => (isTicking = false))
  }, TICK_MS).unref()

  const read = (text: string): ReturnType<typeof readTarget> => {
    const { userCase, aliases } = settings().routing
    return readTarget(text, { userCase, aliases })
  }
  const coverage = (): Pick<BlocksListed, 'scope' | 'why'> =>
    inUse ? { scope: 'all' } : { scope: 'instance', why: 'the directory is not Redis' }

  async function inStore<T>(order: () => Promise<T>): Promise<T | { result: 'unavailable'; why: string }> {
    try {
      return await order()
    } catch (error) {
      return { result: 'unavailable', why: `Redis: ${error instanceof Error ? error.message : 'unknown'}` }
    }
  }

  return {
    orders: {
      list: () => ({ blocks: blocks.list(), ...coverage() }),
      async block({ target: text, forMs, by }): Promise<BlockAnswer> {
        const target = read(text)
        if ('wrong' in target) return { result: 'wrong', why: target.wrong }
        const why = whyNoUser(target, settings())
        if (why !== undefined) return { result: 'wrong', why }
        const objection = findObjection(target, protectedBy(settings()))
        if (objection !== undefined)
          return { result: 'forbidden', why: `${target.target} cannot be blocked: ${objection}` }
        const sinceMs = nowMs()
        const block = { ...target, by, sinceMs, untilMs: forMs === undefined ? undefined : sinceMs + forMs }
        const added = await inStore(() => blocks.add(block))
        if (typeof added === 'object') return added
        if (!added) return { result: 'forbidden', why: `there are ${MOST_BLOCKS} blocks already` }
        return { result: 'done', block, applied: await refreshAll() }
      },
      async unblock(text): Promise<BlockAnswer> {
        const target = read(text)
        if ('wrong' in target) return { result: 'wrong', why: target.wrong }
        const removed = await inStore(() => blocks.remove(target))
        if (typeof removed === 'object') return removed
        if (!removed) return { result: 'forbidden', why: `${target.target} is not blocked` }
        return { result: 'done', block: target, applied: await refreshAll() }
      },
    },
    refresh: blocks.refresh,
    inForce: () => blocks.list(),
    adopt: (given) => blocks.adopt(given),
    async follow() {
      const next = store()
      if (next === inUse) return
      inUse = next
      await blocks.moveTo(next)
    },
    stop: () => clearInterval(timer),
  }
}

/** A block without effect would be taken for one that works: a name without a domain is no user's where all listeners add one. */
function whyNoUser({ kind, target }: BlockTarget, { listeners }: Settings): string | undefined {
  if (kind !== 'user' || target.includes('@')) return undefined
  const domains = listeners.map(({ defaultDomain }) => defaultDomain)
  const [first] = domains
  if (first === undefined || domains.includes(undefined)) return undefined
  return `${target} has no domain, and every listener adds one to such a name: write ${target}@${first}`
}

/** Networks whose block would keep out more than a client. */
function protectedBy({ listeners }: Settings): Protected {
  return listeners.flatMap(({ name, trustedProxies, limits }) => [
    { networks: limits.exempt, why: `it is in limits.exempt of listener ${name}` },
    {
      networks: trustedProxies,
      why: `it is in trusted_proxies of listener ${name}: all clients behind it would be blocked`,
    },
  ])
}
