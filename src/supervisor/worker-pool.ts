/** Those who serve, as the instance sees them: one app in this process, or workers in processes of their own. */
import type { ApiParts } from '../admin/api.ts'
import type { Answers } from '../answers.ts'
import type { Settings } from '../config/settings.ts'
import type { OpenPort } from '../listener/listener.ts'
import type { WorkerState } from '../metrics/instance-metrics.ts'
import type { Reading } from '../metrics/readings.ts'

export type WorkerPool = Pick<
  ApiParts,
  'explain' | 'testLogin' | 'backends' | 'setBackendState' | 'sessions' | 'endSessions'
> &
  Pick<Answers, 'quiesce'> & {
    /** @returns the ports, once all of them serve. @throws Error for the operator; nothing is left running then */
    start(): Promise<OpenPort[]>
    /** Settles when new connections are served by these, as far as somebody is there to serve them. */
    takeOver: (settings: Settings) => Promise<void>
    /** how each of them does */
    states: () => WorkerState[]
    /** what the series of processes other than this one stand at, and what those that have ended have counted */
    readings: () => Promise<Reading[]>
    /** Accepts nobody any more, lets sessions come to an end, and ends all of them. */
    stop(): Promise<void>
    /** Ends them at once, whatever they are doing. */
    abandon: () => void
  }
