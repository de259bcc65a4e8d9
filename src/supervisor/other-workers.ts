/** The other workers, as one worker sees them: it tells them, and asks them, through the supervisor. */
import type { AppDeps } from '../app.ts'
import type { StandIn, ToSupervisor, ToWorker } from './messages.ts'

/** More than the supervisor gives the workers. A login waits no longer than this for them. */
const ANSWER_MS = 500

export type OtherWorkers = {
  others: NonNullable<AppDeps['others']>
  /** What the supervisor says of them. */
  hear: (message: Extract<ToWorker, { kind: 'marker' | 'standIns' }>) => void
}

/** @param marker that another worker has seen before this one was started */
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
