/** The crew of one that has no process of its own: `workers: 1` is all of mailmux in one process, and nothing between its parts. */
import type { App, Surroundings } from '../app.ts'
import type { Settings } from '../config/settings.ts'
import { openListeners } from '../listener/listener.ts'
import type { WorkerState } from '../metrics/instance-metrics.ts'
import type { Crew } from './crew.ts'

export type CreateApp = (settings: Settings, surroundings: Surroundings) => App

export function createCrewOfOne(
  createApp: CreateApp,
  settings: Settings,
  surroundings: Omit<Surroundings, 'listen'>,
): Crew {
  const app = createApp(settings, {
    ...surroundings,
    listen: ({ listeners }, accept) => openListeners(listeners, accept),
  })
  let state: WorkerState = 'starting'
  return {
    async start() {
      try {
        const addresses = await app.start()
        state = 'up'
        return addresses
      } catch (error) {
        await app.close()
        throw error
      }
    },
    takeOver(changed) {
      app.takeOver(changed)
      return Promise.resolve()
    },
    states: () => [state],
    readings: () => Promise.resolve([]),
    ...app.answers,
    backends: () => Promise.resolve(app.answers.backends()),
    sessions: (filter) => Promise.resolve(app.answers.sessions(filter)),
    stop: () => app.stop(),
    abandon: () => undefined,
  }
}
