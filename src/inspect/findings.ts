/** What a probe finds: where it stands in the configuration, and how bad it is. */

export type Told = { severity: 'error' | 'warning'; message: string }

/** `path` is that of the setting in the main file or in the routing file. */
export type Finding = Told & { which: 'main' | 'routing'; path: readonly (string | number)[] }

/** `notes` are facts that are neither errors nor warnings. */
export type Probed = { findings: Finding[]; notes: string[] }

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
