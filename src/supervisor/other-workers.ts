/** A worker's messages to and from the other workers, which the supervisor passes on. */
import type { AppDeps } from '../app.ts'
import type { StandIn, ToSupervisor, ToWorker } from './messages.ts'

/** Longer than the supervisor's own deadline for the workers. A login waits at most this long for them. */
const ANSWER_MS = 500

export type OtherWorkers = {
  others: NonNullable<AppDeps['others']>
  /** Handles a message of the supervisor about them. */
  hear: (message: Extract<ToWorker, { kind: 'marker' | 'standIns' }>) => void
}

/** @param markers those that other workers saw before this one was started */
export function createOtherWorkers(
  markers: readonly (readonly [store: string, id: string])[],
  send: (message: ToSupervisor) => void,
): OtherWorkers {
  const known = new Map(markers)
  const waiting = new Map<number, (told: StandIn[]) => void>()
  let questions = 0
  /** of each open directory: a reload may open a second one, and of the same store */
  const hearers = new Map<symbol, { store: string; hear: (id: string) => void }>()

  return {
    others: {
      of(store) {
        const key = Symbol(store)
        return {
          marker: known.get(store),
          markerSeen: (id) => send({ kind: 'marker', store, id }),
          onMarker: (hear) => void hearers.set(key, { store, hear }),
          standIns(user) {
            const id = questions++
            const { promise, resolve, reject } = Promise.withResolvers<StandIn[]>()
            const timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS)
            waiting.set(id, resolve)
            send({ kind: 'standIns', id, question: { store, user } })
            return promise.finally(() => {
              clearTimeout(timer)
              waiting.delete(id)
            })
          },
          close: () => void hearers.delete(key),
        }
      },
    },
    hear(message) {
      if (message.kind === 'standIns') {
        waiting.get(message.id)?.(message.told)
        return
      }
      for (const { store, hear } of hearers.values()) if (store === message.store) hear(message.id)
    },
  }
}
