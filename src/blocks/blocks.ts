/**
 * The blocks in force at this instance. They are kept in a store that all instances share, or in memory without one. The instance reads
 * the store when an operator has changed it anywhere, and every 5 s, so that a lost message delays a block and loses none. While the
 * store cannot be read, the blocks that are known stay in force until they end.
 */
import type { Block, BlockTarget } from './block.ts'

/** Each worker keeps them, and a block costs about 200 octets. */
export const MOST_BLOCKS = 10_000
export const READ_EVERY_MS = 5000

export type BlockStore = {
  /** @returns false if there are too many. @throws Error; it may take effect nevertheless */
  add(block: Block): Promise<boolean>
  /** @throws Error */
  list(): Promise<Block[]>
  /** @returns how many there were. @throws Error */
  remove(targets: readonly BlockTarget[]): Promise<number>
}

/** What has come of bringing blocks into force: sessions that end for that, and the workers that have not taken them yet. */
export type Applied = {
  ended: number
  workers?: { worker: number; ended: number }[] | undefined
  incomplete?: number[] | undefined
}

export type Blocks = {
  /** those in force */
  list(): Block[]
  /** @returns false if there are too many. @throws Error */
  add(block: Block): Promise<boolean>
  /** @returns whether there was one. @throws Error */
  remove(target: BlockTarget): Promise<boolean>
  /** Reads the store and applies what it has. @throws Error of the store */
  refresh: () => Promise<Applied>
  /** Takes over the blocks of a process whose place this one takes. Without a store it keeps these and no others. Does not fail. */
  adopt(given: readonly Block[]): Promise<void>
  /**
   * Keeps the blocks in another store from now on, those in force too. undefined: this instance keeps them itself. Does not fail: what the
   * store does not take now stays in force, and the next reading tries again.
   */
  moveTo(store: BlockStore | undefined): Promise<void>
  /** Ends blocks whose time is over, and reads the store if it is time. Called once a second. */
  tick(): Promise<void>
}

export type BlocksParts = {
  /** undefined: this instance keeps them itself, until it stops */
  store: BlockStore | undefined
  /** Brings these blocks into force. Does not fail: a worker that is missing is named. */
  apply: (blocks: readonly BlockTarget[]) => Promise<Applied>
  /** milliseconds of the epoch */
  nowMs: () => number
}

export function createBlocks({ store: first, apply, nowMs }: BlocksParts): Blocks {
  let store = first ?? memoryStore()
  let isShared = first !== undefined
  /** those of the store before, which this one does not have yet */
  let toMove: Block[] = []
  let known: Block[] = []
  let isApplied = true
  let readMs = -Infinity

  const isOver = ({ untilMs }: Block): boolean => untilMs !== undefined && untilMs <= nowMs()

  async function enforce(): Promise<Applied> {
    isApplied = false
    const applied = await apply(known.map(({ kind, target }) => ({ kind, target })))
    isApplied = applied.incomplete === undefined
    return applied
  }

  /** What the new store says of a target that is blocked there counts. @throws Error of the store */
  async function move(): Promise<void> {
    const own = new Set((await store.list()).map(nameOf))
    for (const block of toMove) {
      if (!isOver(block) && !own.has(nameOf(block))) await store.add(block)
      toMove = toMove.filter((one) => one !== block)
    }
  }

  async function refresh(): Promise<Applied> {
    readMs = nowMs()
    if (toMove.length > 0) await move()
    const stored = await store.list()
    const over = stored.filter(isOver)
    if (over.length > 0) await store.remove(over).catch(() => undefined) // the next reading tries again
    const before = JSON.stringify(known)
    known = stored.filter((block) => !isOver(block)).slice(0, MOST_BLOCKS)
    return isApplied && JSON.stringify(known) === before ? { ended: 0 } : enforce()
  }

  return {
    list: () => known.filter((block) => !isOver(block)),
    add: (block) => store.add(block),
    remove: async (target) => (await store.remove([target])) > 0,
    refresh,
    async adopt(given) {
      const left = given.filter((block) => !isOver(block))
      // A store of all instances has them already, unless they were removed there.
      if (!isShared) {
        store = memoryStore()
        for (const block of left) await store.add(block)
      }
      if (JSON.stringify(left) === JSON.stringify(known)) return
      known = left
      await enforce()
    },
    async moveTo(next) {
      store = next ?? memoryStore()
      isShared = next !== undefined
      toMove = known.filter((block) => !isOver(block))
      await refresh().catch(() => undefined)
    },
    async tick() {
      if (nowMs() - readMs >= READ_EVERY_MS || nowMs() < readMs) {
        await refresh().catch(() => undefined) // the next reading tries again
        return
      }
      const left = known.filter((block) => !isOver(block))
      if (left.length === known.length && isApplied) return
      known = left
      await enforce() // what is missing is tried again by the next tick
    },
  }
}

const nameOf = ({ kind, target }: BlockTarget): string => `${kind} ${target}`

function memoryStore(): BlockStore {
  const blocks = new Map<string, Block>()
  return {
    add(block) {
      if (!blocks.has(nameOf(block)) && blocks.size >= MOST_BLOCKS) return Promise.resolve(false)
      blocks.set(nameOf(block), block)
      return Promise.resolve(true)
    },
    list: () => Promise.resolve([...blocks.values()]),
    remove: (targets) => Promise.resolve(targets.filter((target) => blocks.delete(nameOf(target))).length),
  }
}
