/** What the back ends say that they can do before login, and what holds on every one of them. */
import type { ProtocolName } from '../config/settings.ts'
import type { Log } from '../log.ts'

export type CapabilityBook = {
  /** Notes what a back end has announced; a change from what it said before is logged. */
  learn(protocol: ProtocolName, backend: string, words: readonly string[]): void
  /**
   * The words that all back ends of a protocol have announced, as the first spelt them. Those that were never reached do not count;
   * undefined where none was.
   */
  common(protocol: ProtocolName, backends: readonly string[]): readonly string[] | undefined
  /** Changes when a probe may have changed the common capabilities. */
  version: () => number
}

export function createCapabilityBook(log: Log): CapabilityBook {
  const announced = new Map<string, readonly string[]>()
  let version = 0
  const keyOf = (protocol: ProtocolName, backend: string): string => `${protocol} ${backend}`

  return {
    learn(protocol, backend, words) {
      const before = announced.get(keyOf(protocol, backend))
      const { gained, lost } = difference(before ?? words, words)
      if (before && gained.length === 0 && lost.length === 0) return
      if (before) log.warn({ protocol, backend, gained, lost }, 'capabilities changed')
      announced.set(keyOf(protocol, backend), words)
      version++
    },
    common(protocol, backends) {
      const lists = backends.flatMap((backend) => {
        const words = announced.get(keyOf(protocol, backend))
        return words ? [words] : []
      })
      return intersect(lists)
    },
    version: () => version,
  }
}

function intersect([first, ...others]: readonly (readonly string[])[]): string[] | undefined {
  const sets = others.map((words) => new Set(words.map((word) => word.toUpperCase())))
  return first?.filter((word) => sets.every((set) => set.has(word.toUpperCase())))
}

function difference(before: readonly string[], after: readonly string[]): { gained: string[]; lost: string[] } {
  const [had, has] = [new Set(before), new Set(after)]
  return { gained: after.filter((word) => !had.has(word)), lost: before.filter((word) => !has.has(word)) }
}
