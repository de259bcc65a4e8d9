/**
 * What the workers of an instance remember together: the marker of the directory that any of them has seen last, for a worker that is
 * started again, and the routes that each of them may lend to another while the directory is away.
 */
import type { Answer, Ask, StandIn, ToWorker } from './messages.ts'

/** A worker answers from its memory. One that hangs costs a login this, until it counts as silent and is not asked. */
const WORKER_MS = 300

/** A worker, as far as it is needed here. */
export type Member = {
  ask: <A extends Ask>(ask: A, withinMs: number) => Promise<Answer[A['what']]>
  tell: (message: ToWorker) => void
}

export type SharedMemory = {
  /** what a worker is told at its start */
  marker: () => string | undefined
  /** A worker has seen this marker; the others are told. */
  noteMarker: (from: Member, id: string) => void
  /** What the other workers remember of a user: of those that answer in time. */
  standIns: (from: Member, user: string) => Promise<StandIn[]>
}

export function createSharedMemory(workers: () => readonly Member[]): SharedMemory {
  let marker: string | undefined
  const othersOf = (from: Member): Member[] => workers().filter((one) => one !== from)
  return {
    marker: () => marker,
    noteMarker(from, id) {
      if (id === marker) return
      marker = id
      for (const other of othersOf(from)) other.tell({ kind: 'marker', id })
    },
    async standIns(from, user) {
      const told = await Promise.all(
        othersOf(from).map((other) => other.ask({ what: 'standIn', user }, WORKER_MS).catch(() => undefined)),
      )
      return told.flatMap((one) => one ?? [])
    },
  }
}
