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

/** @param marker the one that another worker saw before this one was started */
export function createOtherWorkers(marker: string | undefined, send: (message: ToSupervisor) => void): OtherWorkers {
  const waiting = new Map<number, (told: StandIn[]) => void>()
  let questions = 0
  let hearMarker: (id: string) => void = () => undefined

  return {
    others: {
      marker,
      markerSeen: (id) => send({ kind: 'marker', id }),
      onMarker(hear) {
        hearMarker = hear
      },
      standIns(user) {
        const id = questions++
        const { promise, resolve, reject } = Promise.withResolvers<StandIn[]>()
        const timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS)
        waiting.set(id, resolve)
        send({ kind: 'standIns', id, user })
        return promise.finally(() => {
          clearTimeout(timer)
          waiting.delete(id)
        })
      },
    },
    hear(message) {
      if (message.kind === 'marker') hearMarker(message.id)
      else waiting.get(message.id)?.(message.told)
    },
  }
}
