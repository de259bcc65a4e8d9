/** What a probe finds: where it stands in the configuration, and how bad it is. */

export type Told = { severity: 'error' | 'warning'; message: string }

/** `path` is that of the setting in the main file or in the routing file. */
export type Finding = Told & { which: 'main' | 'routing'; path: readonly (string | number)[] }

/** What was probed of one kind. `failed` and `unclear` (the probe itself could not be made, or has a warning) are named. */
export type ProbeGroup = { group: string; tested: number; failed: string[]; unclear: string[] }

/** `notes` are facts that are neither errors nor warnings. */
export type Probed = { findings: Finding[]; notes: string[]; groups: ProbeGroup[] }

/** @param results what was found of each that was tested, which may be nothing */
export function groupOf(group: string, results: readonly { name: string; told: readonly Told[] }[]): ProbeGroup {
  const isFailed = ({ told }: { told: readonly Told[] }): boolean => told.some(({ severity }) => severity === 'error')
  const namesOf = (which: typeof results): string[] => which.map(({ name }) => name)
  return {
    group,
    tested: results.length,
    failed: namesOf(results.filter(isFailed)),
    unclear: namesOf(results.filter((one) => one.told.length > 0 && !isFailed(one))),
  }
}

export const error = (message: string): Told => ({ severity: 'error', message })
export const warning = (message: string): Told => ({ severity: 'warning', message })

/** @throws what `late` returns, after `ms`; the wait itself goes on, and its error is ignored then */
export async function inTime<T>(ms: number, wait: Promise<T>, late: () => Error): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(late()), ms)
  try {
    return await Promise.race([wait, promise])
  } finally {
    clearTimeout(timer)
  }
}
