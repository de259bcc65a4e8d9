/** Connects the directory of new settings in all workers, before any of them uses it. */
import type { DirectorySettings } from '../config/settings.ts'
import { mustReplace } from '../directory/replaceable.ts'
import { pack } from './packed.ts'
import { directoryOf } from './share.ts'
import type { Worker } from './worker-interface.ts'

/** A worker waits 5 s for the connection and 3 s for an answer. */
const PREPARE_MS = 10_000

/**
 * A worker that does not answer, or that is started again meanwhile, connects when it gets the settings.
 * @throws Error for the operator if one of them cannot reach it, or if none has answered
 */
export async function prepareDirectory(
  workers: readonly Pick<Worker, 'number' | 'ask'>[],
  before: DirectorySettings,
  next: DirectorySettings,
): Promise<void> {
  if (!mustReplace(before, next)) return
  const told = await Promise.all(
    workers.map((worker) => {
      const directory = pack(directoryOf({ worker: worker.number }, next))
      return worker.ask({ what: 'prepare', directory }, PREPARE_MS).catch(() => undefined)
    }),
  )
  const wrong = told.find((one) => one?.wrong !== undefined)?.wrong
  if (wrong !== undefined) throw new Error(wrong)
  if (told.every((one) => one === undefined)) throw new Error('no worker answers')
}
