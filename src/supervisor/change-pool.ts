/**
 * A reload that changes `workers` between 1 and several. One worker is part of this process, and several are processes of their own. A new
 * generation of the same version takes over with the new files, as in an upgrade.
 */
import type { Settings } from '../config/settings.ts'
import type { Handover } from './generation/handover.ts'
import type { Notifier } from './notify.ts'
import { SERVING } from './reload-order.ts'
import type { WorkerPool } from './worker-pool.ts'

export function needsOtherPool(before: Pick<Settings, 'workers'>, after: Pick<Settings, 'workers'>): boolean {
  return (before.workers === 1) !== (after.workers === 1)
}

export type PoolChange = {
  pool: Pick<WorkerPool, 'prepare'>
  upgrade: Handover['upgrade']
  notifier: Pick<Notifier, 'ready'>
}

/**
 * Settles when the new generation serves.
 * @param before the settings with which this generation was started
 * @throws Error for the operator; then nothing has changed
 */
export async function changePool(
  before: Settings,
  settings: Settings,
  { pool, upgrade, notifier }: PoolChange,
): Promise<number[]> {
  // The new generation would start without its directory. A reload must not.
  const prepared = await pool.prepare({ ...settings, workers: before.workers })
  prepared.discard()
  notifier.ready(SERVING) // the next message to the service manager is of the new generation
  const result = await upgrade({})
  if ('error' in result) throw new Error(result.error)
  return []
}
