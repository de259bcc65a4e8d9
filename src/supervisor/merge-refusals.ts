/** Merges what the workers tell of refused logins. Pure. */
import type { RefusalsAnswer } from '../admin/refusal-routes.ts'

type Told = Pick<RefusalsAnswer, 'refusals' | 'counts'>

/** The newest of all, at most `limit`, and sums of the counts, the largest first. @param told undefined: the worker does not answer */
export function mergeRefusals(
  workers: readonly { worker: number; told: Told | undefined }[],
  limit: number,
): Told & { incomplete?: number[] } {
  const counts = new Map<string, Told['counts'][number]>()
  for (const one of workers.flatMap(({ told }) => told?.counts ?? [])) {
    const key = `${one.reason ?? ''} ${one.code ?? ''}`
    counts.set(key, { ...one, count: one.count + (counts.get(key)?.count ?? 0) })
  }
  const incomplete = workers.filter(({ told }) => told === undefined).map(({ worker }) => worker)
  return {
    refusals: workers
      .flatMap(({ told }) => told?.refusals ?? [])
      .sort((a, b) => b.atMs - a.atMs)
      .slice(0, limit),
    counts: [...counts.values()].sort((a, b) => b.count - a.count),
    ...(incomplete.length > 0 && { incomplete }),
  }
}
