/** The ways in which the network may cut what one side sends. A parser must read the same out of all of them. */
import { test } from 'node:test'
import { createRandom } from './random.ts'

/** `name` says in a failure how to cut that way again. */
export type Cut = { name: string; split: (octets: string) => string[] }

export const WHOLE: Cut = { name: 'whole', split: (octets) => [octets] }

export const BYTE_BY_BYTE: Cut = { name: 'byte by byte', split: (octets) => Array.from(octets) }

/** Pieces of 1 to 12 octets; the same seed gives the same cut. */
export function atRandom(seed: number): Cut {
  return {
    name: `at random, seed ${seed}`,
    split(octets) {
      const next = createRandom(seed)
      const pieces: string[] = []
      for (let at = 0; at < octets.length; at += pieces.at(-1)?.length ?? 1) {
        pieces.push(octets.slice(at, at + 1 + Math.floor(next() * 12)))
      }
      return pieces
    },
  }
}

export const CUTS: readonly Cut[] = [WHOLE, BYTE_BY_BYTE, ...[1, 2, 3, 4].map(atRandom)]

/** One test that runs under every cut, and says in which one it failed. */
export function testEveryCut(name: string, run: (cut: Cut) => Promise<void> | void): void {
  test(name, async () => {
    for (const cut of CUTS) {
      try {
        await run(cut)
      } catch (error) {
        // without the cause, which would show the same conversation again
        throw new Error(`cut ${cut.name}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
  })
}
