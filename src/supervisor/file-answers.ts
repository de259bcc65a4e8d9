/** What operators are told of the configuration: whether a name is in it, the state of its files, and a reload. */
import type { ApiParts } from '../admin/api.ts'
import type { Configuration } from './configuration.ts'
import { findEffects } from './reload-effects.ts'
import type { ReloadResult } from './reload-result.ts'
import type { WorkerPool } from './worker-pool.ts'

/**
 * @param workers explain a login; only the supervisor knows whether a newer file is held back
 * @param reload reads the files again
 */
export function answersOf(
  files: Pick<Configuration, 'current' | 'heldBack' | 'status' | 'compare'>,
  workers: Pick<WorkerPool, 'explain' | 'sessions'>,
  reload: () => Promise<ReloadResult>,
): Pick<ApiParts, 'explain' | 'isConfigured' | 'configuration'> {
  return {
    async explain(question) {
      const answer = await workers.explain(question)
      if ('wrong' in answer) return answer
      const heldBack = files.heldBack()
      const notTakenOver = files.status().failure
      return { ...answer, ...(heldBack && { heldBack }), ...(notTakenOver && { notTakenOver }) }
    },
    isConfigured(kind, name) {
      const { routing, listeners } = files.current()
      return kind === 'backend' ? routing.backends.has(name) : listeners.some((listener) => listener.name === name)
    },
    configuration: {
      async reload() {
        const result = await reload()
        if (result.outcome === 'refused') return { errors: result.errors }
        const { changes, warnings, late } = result
        return { changes, warnings, late }
      },
      async compare() {
        const { main: file } = files.current().files
        const found = await files.compare()
        if ('errors' in found) return { file, changes: [], restart: [], errors: found.errors }
        const changes = await findEffects(found.changes, files.current().routing.users, async (filter) => {
          const told = await workers.sessions({ ...filter, limit: 0 }).catch(() => undefined)
          return told?.total
        })
        return { file, changes, restart: found.restart }
      },
      status() {
        const { loadedMs, failure } = files.status()
        const heldBack = files.heldBack()
        const { main: file } = files.current().files
        return { file, loadedMs, ...(failure && { failure }), ...(heldBack && { heldBack }) }
      },
    },
  }
}
