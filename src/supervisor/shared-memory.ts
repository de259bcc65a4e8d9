/**
 * The knowledge that the workers of an instance share: the marker of the directory that any of them has seen last, for a worker that is
 * started again, and cached routes, which a worker may get from the others while the directory is away. Both belong to one store: a
 * reload may replace the directory, and the workers change one after the other.
 */
import type { Answer, Ask, StandIn, ToWorker } from './messages.ts'

/** A worker answers from its memory, within milliseconds. A worker that hangs delays a login by this time, until it counts as silent and is not asked. */
const WORKER_MS = 300

/** The part of a worker that this module uses. */
export type Member = {
  ask: <A extends Ask>(ask: A, withinMs: number) => Promise<Answer[A['what']]>
  tell: (message: ToWorker) => void
}

type StandInQuestion = Extract<Ask, { what: 'standIn' }>['question']

export type SharedMemory = {
  /** the marker of each store, for a worker that starts */
  markers: () => [store: string, id: string][]
  /** A worker has seen this marker. Sends it to the others. */
  noteMarker: (from: Member, seen: { store: string; id: string }) => void
  /** Forgets the markers of all other stores: they would be compared with a store that has been emptied since. */
  keepOnly: (store: string) => void
  /** The routes of a user that the other workers remember of the store, from those that answer in time. */
  standIns: (from: Member, question: StandInQuestion) => Promise<StandIn[]>
}

export function createSharedMemory(workers: () => readonly Member[]): SharedMemory {
  const markers = new Map<string, string>()
  const othersOf = (from: Member): Member[] => workers().filter((one) => one !== from)
  return {
    markers: () => [...markers],
    noteMarker(from, { store, id }) {
      if (id === markers.get(store)) return
      markers.set(store, id)
      for (const other of othersOf(from)) other.tell({ kind: 'marker', store, id })
    },
    keepOnly(store) {
      for (const other of markers.keys()) if (other !== store) markers.delete(other)
    },
    async standIns(from, question) {
      const told = await Promise.all(
        othersOf(from).map((other) => other.ask({ what: 'standIn', question }, WORKER_MS).catch(() => undefined)),
      )
      return told.flatMap((one) => one ?? [])
    },
  }
}
