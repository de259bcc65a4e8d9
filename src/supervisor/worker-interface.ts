/** A worker as the pool has it, what it is given, and the program that is started for it. */
import type { Settings } from '../config/settings.ts'
import type { LedgerHost } from '../limits/ledger-host.ts'
import type { BoundPort } from '../listener/bound-ports.ts'
import type { Log } from '../log.ts'
import type { WorkerState } from '../metrics/instance-metrics.ts'
import type { Reading } from '../metrics/readings.ts'
import type { Answer, Ask, ToWorker } from './messages.ts'
import type { SharedMemory } from './shared-memory.ts'

/** A program, and the arguments that make it a worker, or the process that reads the configuration. */
export type WorkerProgram = {
  command: string
  /** of the runtime */
  options?: readonly string[]
  /** the script and its arguments */
  args: readonly string[]
  /** receives its standard error, such as the stack of a crash */
  printError: (text: string) => void
}

export type Worker = {
  number: number
  state(): WorkerState
  /** Starts it for the first time. @throws Error for the operator if it cannot serve, or is stopped before it serves */
  start(): Promise<void>
  /** @throws Error if there is no answer within this time, or no process */
  ask<A extends Ask>(ask: A, withinMs: number): Promise<Answer[A['what']]>
  /** Sends a message if there is a process. */
  tell(message: ToWorker): void
  /**
   * Gives it the current settings. A worker that has ended is started with them.
   * @returns whether they are in effect; false after this time, or if the worker does not answer now
   */
  configure(withinMs: number): Promise<boolean>
  /** Opens ports whose connections wait for the next `configure`. @returns what is wrong if it cannot */
  open(ports: readonly BoundPort[], withinMs: number): Promise<string | undefined>
  /** Closes ports that were opened so, and that are not to serve. */
  shut(ports: readonly BoundPort[]): void
  /** Tells it to end and waits. After this time it is killed. It is not started again. */
  stop(withinMs: number, how?: { mayLogIn: boolean }): Promise<void>
  /** Ends it at once. */
  kill(): void
}

/** What it is given. */
export type WorkerParts = {
  number: number
  program: WorkerProgram
  /** the ports that it serves; called at each start and at each `configure` */
  ports: () => readonly BoundPort[]
  /** its current settings; called at each start and at each `configure` */
  settings: () => Settings
  /** the other contents of its start message */
  greeting: () => Omit<ToWorker & { kind: 'start' }, 'kind' | 'settings' | 'ports' | 'served'>
  /** Called when it has ended unexpectedly and will be started again. */
  onEnded: () => void
  /** It needs leases: it begins to serve, or a login there waits for more of a leased limit. */
  onShort: () => void
  /** What it has counted until its orderly end, just before that. */
  onLast: (reading: Reading) => void
  /** Called when it is ready to accept. It accepts as soon as this settles. */
  mayAccept: () => Promise<void>
  /** what the limits count, of all workers */
  ledger: LedgerHost
  /** shared by all workers */
  memory: Pick<SharedMemory, 'noteMarker' | 'standIns'>
  log: Log
}
