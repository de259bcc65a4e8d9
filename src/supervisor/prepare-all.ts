/** Makes all parts of the instance ready for new settings: all of them change, or none. */
import type { Settings } from '../config/settings.ts'
import type { LogOutput } from '../log-output.ts'
import type { AdminDoors } from './admin-doors.ts'
import { changeLogFile } from './log-file.ts'
import type { Prepared, WorkerPool } from './worker-pool.ts'

type ReloadedParts = {
  pool: Pick<WorkerPool, 'prepare'>
  adminDoors: Pick<AdminDoors, 'prepare'>
  output: LogOutput
  /** take the settings over after the workers, one after the other; they do not fail */
  followers: readonly { follow: (settings: Settings) => void | Promise<void> }[]
}

/** @throws Error with a message for the operator; then nothing has changed */
export async function prepareAll(
  settings: Settings,
  { pool, adminDoors, output, followers }: ReloadedParts,
): Promise<Pick<Prepared, 'commit'>> {
  const workers = await pool.prepare(settings)
  const admin = await adminDoors.prepare(settings.admin).catch((error: unknown) => {
    workers.discard()
    throw error
  })
  changeLogFile(output, settings.log.file, () => {
    admin.discard()
    workers.discard()
  })
  return {
    async commit() {
      admin.commit()
      const late = await workers.commit()
      for (const part of followers) await part.follow(settings)
      return late
    },
  }
}
