/** What operators are told of the configuration: whether a name is in it, the state of its files, and a reload. */
import type { RouteAnswer } from '../admin/answers.ts'
import type { ApiParts, RouteQuestion } from '../admin/api.ts'
import type { Configuration } from './configuration.ts'
import type { ReloadResult } from './reload-result.ts'

/**
 * @param explainOwn the answer of a worker: only the supervisor knows whether a newer file is held back
 * @param reload reads the files again
 */
export function answersOf(
  files: Pick<Configuration, 'current' | 'heldBack' | 'status'>,
  explainOwn: (question: RouteQuestion) => Promise<RouteAnswer | { wrong: string }>,
  reload: () => Promise<ReloadResult>,
): Pick<ApiParts, 'explain' | 'isConfigured' | 'configuration'> {
  return {
    async explain(question) {
      const answer = await explainOwn(question)
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
      status() {
        const { loadedMs, failure } = files.status()
        const heldBack = files.heldBack()
        const { main: file } = files.current().files
        return { file, loadedMs, ...(failure && { failure }), ...(heldBack && { heldBack }) }
      },
    },
  }
}
