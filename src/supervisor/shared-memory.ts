/**
 * The knowledge that the workers of an instance share: the marker of the directory that any of them has seen last, for a worker that is
 * started again, and cached routes, which a worker may get from the others while the directory is away.
 */
import type { Answer, Ask, StandIn, ToWorker } from './messages.ts'

/** A worker answers from its memory, within milliseconds. A worker that hangs delays a login by this time, until it counts as silent and is not asked. */
const WORKER_MS = 300

/** The part of a worker that this module uses. */
export type Member = {
  ask: <A extends Ask>(ask: A, withinMs: number) => Promise<Answer[A['what']]>
  tell: (message: ToWorker) => void
}

export type SharedMemory = {
  /** the marker for a worker that starts */
  marker: () => string | undefined
  /** A worker has seen this marker. Sends it to the others. */
  noteMarker: (from: Member, id: string) => void
  /** The routes of a user that the other workers remember, from those that answer in time. */
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
