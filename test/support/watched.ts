/** A session as both sides sent it, and how a watch sees it at every cut. */
import assert from 'node:assert/strict'
import type { SessionObserver } from '../../src/protocol/watch.ts'
import { atRandom, BYTE_BY_BYTE, WHOLE, type Cut } from './splits.ts'

/** Octets of one side, as latin1. */
export type Step = {
  side: 'client' | 'backend'
  octets: string
  /** whether the session is idle behind these octets; inside them it is not */
  idle: boolean
}

export const client = (octets: string, idle = false): Step => ({ side: 'client', octets, idle })
export const backend = (octets: string, idle = false): Step => ({ side: 'backend', octets, idle })

/** Gives a watch every piece. @returns false where it stopped following */
export function show(watch: SessionObserver, side: Step['side'], octets: string): boolean {
  const piece = Buffer.from(octets, 'latin1')
  return side === 'client' ? watch.fromClient(piece) : watch.fromBackend(piece)
}

const CUTS: readonly Cut[] = [WHOLE, BYTE_BY_BYTE, ...[1, 2, 3].map(atRandom)]

/** Plays the session under every cut, and compares what the watch says behind each piece with the steps. */
export function checkIdle(create: () => SessionObserver, steps: readonly Step[], about = '', cuts = CUTS): void {
  for (const cut of cuts) {
    const watch = create()
    const seen: string[] = []
    for (const { side, octets, idle } of steps) {
      let at = 0
      for (const piece of cut.split(octets)) {
        at += piece.length
        seen.push(`${side}: ${JSON.stringify(piece)}`)
        const where = (): string => `${about} cut ${cut.name}, behind\n${seen.slice(-8).join('\n')}`
        if (!show(watch, side, piece)) assert.fail(`not followed: ${where()}`)
        if (watch.isIdle() !== (idle && at === octets.length)) assert.fail(`idle: ${watch.isIdle()}: ${where()}`)
      }
    }
  }
}

/** Plays the session under every cut. Its last step must end in the watch's statement that it cannot follow it. */
export function checkLost(create: () => SessionObserver, steps: readonly Step[]): void {
  for (const cut of CUTS) {
    const watch = create()
    const isFollowed = steps.every((step) => cut.split(step.octets).every((piece) => show(watch, step.side, piece)))
    assert.equal(isFollowed, false, `cut ${cut.name}`)
  }
}
