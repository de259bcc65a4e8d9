/** The workers of an instance: one app in this process, or several processes. */
import type { ApiParts } from '../admin/api.ts'
import type { TraceAnswer } from '../admin/trace-routes.ts'
import type { Answers } from '../answers.ts'
import type { BlockTarget } from '../blocks/block.ts'
import type { Applied } from '../blocks/blocks.ts'
import type { Settings } from '../config/settings.ts'
import type { InheritedSocket } from '../listener/inherited.ts'
import type { OpenPort } from '../listener/ports.ts'
import type { LogForm } from '../log.ts'
import type { WorkerState } from '../metrics/instance-metrics.ts'
import type { Reading } from '../metrics/readings.ts'

/** A change that is ready. Exactly one of both functions is called. */
export type Prepared = {
  /**
   * Settles when all workers that answer use the new settings for new connections. Does not fail.
   * @returns the numbers of the workers that have not confirmed it in time. They get the settings as soon as they read
   */
  commit: () => Promise<number[]>
  discard: () => void
}

export type WorkerPool = Pick<
  ApiParts,
  'explain' | 'testLogin' | 'backends' | 'setBackendState' | 'sessions' | 'endSessions' | 'refusals'
> &
  Pick<Answers, 'quiesce'> & {
    /** Begins a trace at all workers or goes on with it, and gives its lines; or ends it. @throws Unavailable */
    trace: (order: Parameters<Answers['trace']>[0]) => Promise<TraceAnswer>
    /** Has all workers reject these from now on, and no others. Does not fail: a worker that has not taken them is named. */
    setBlocks: (blocks: readonly BlockTarget[]) => Promise<Applied>
    /**
     * @param mayAccept called once all workers are ready to accept; they accept as soon as it settles
     * @returns the ports, as soon as all workers serve. @throws Error for the operator; then no worker is left running
     */
    start(mayAccept?: () => Promise<void>): Promise<OpenPort[]>
    /** The open ports, for another process to inherit. @throws Error where the runtime cannot do that */
    sockets: () => InheritedSocket[]
    /** Makes everything ready for these settings. @throws Error with a message for the operator; then nothing has changed */
    prepare: (settings: Settings) => Promise<Prepared>
    /** Closes all ports at once; sessions go on, and the settings stay. @returns the numbers of the workers that have not confirmed it */
    closePorts(): Promise<number[]>
    /** the state of each worker */
    states: () => WorkerState[]
    /** the metrics of other processes than this one, including the counts of workers that have ended */
    readings: () => Promise<Reading[]>
    /** Has the other processes than this one open the file of their log anew. */
    reopenLog(): Promise<void>
    /** Has the other processes than this one log with this level; undefined: with that of the configuration again. Does not fail. */
    setLogLevel: (level: LogForm['level'] | undefined) => Promise<unknown>
    /** Stops accepting, lets sessions end within the grace, and ends all workers. `mayLogIn`: those before login may still log in. */
    stop(how?: { mayLogIn: boolean }): Promise<void>
    /** Ends all workers at once. */
    abandon: () => void
  }

/** Ready while at least one worker serves: otherwise a load balancer would remove the remaining workers too. */
export function whyNotServing(pool: Pick<WorkerPool, 'states'>): string | undefined {
  return pool.states().includes('up') ? undefined : 'no worker serves'
}
