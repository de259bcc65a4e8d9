/** A running mailmux as main.ts sees it: what it is started with, and what signals have it do. */
import type { LoadResult } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import type { InheritedSockets } from '../listener/inherited.ts'
import type { LogOutput } from '../log-output.ts'
import type { Predecessor } from './generation/predecessor.ts'
import type { UpgradeProgram } from './generation/upgrades.ts'
import type { CreateApp } from './in-process.ts'
import type { ServiceManager } from './notify.ts'
import type { WorkerProgram } from './worker-interface.ts'

export type Instance = {
  /** Settles when clients are served, or when it is stopped before. @throws Error with a message for the operator; then nothing is left open */
  start(): Promise<void>
  /** Reads the files again and applies them. A configuration with errors changes nothing and is logged. */
  reload: () => void
  /** Every process opens the file of its log anew. */
  reopenLog: () => void
  /** Hands over to the version that the path of this program leads to now. The log has the result. */
  upgrade: () => void
  /** Stops accepting, lets sessions end within the grace, and closes everything. May be called before it is ready. */
  stop(): Promise<void>
  /** Ends all worker processes at once, before this process ends. */
  abandon(): void
}

export type InstanceParts = {
  settings: Settings
  /** the configuration with these settings, without errors */
  loaded: LoadResult
  /** reads the configuration again */
  load: () => Promise<LoadResult>
  createApp: CreateApp
  /** destination of the log, in use already */
  output: LogOutput
  /** the program of a worker, if there are several */
  program: WorkerProgram
  /** the ports that are open already */
  inherited: InheritedSockets
  /** is told the state of the instance; undefined: there is none */
  serviceManager: ServiceManager | undefined
  /** the generation whose place this instance takes; undefined: it was started */
  predecessor: Predecessor | undefined
  /** It takes the ports of the running mailmux, which is no generation before it. */
  replace: boolean
  upgradeProgram: UpgradeProgram
  /** The next generation serves, and this one has ended. */
  onRetired: () => void
}
