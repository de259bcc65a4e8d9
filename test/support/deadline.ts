/** Waiting with an end: every wait in the tests goes through here, so that a fault is a message and never a hang. */

/** For one answer. A machine under load has held up an answer for more than 5 s. */
export const READ_DEADLINE_MS = 20_000
/** For a program to start, or a state to come: seconds on an idle machine, and more than 20 s on one that stands still now and then. */
export const START_DEADLINE_MS = 60_000

/** Gives what `promise` gives, or rejects with `complaint()` after `ms`. Does not cancel what it waited for. */
export async function within<T>(ms: number, promise: Promise<T>, complaint: () => string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    reject(new Error(`${complaint()} (waited ${ms} ms)`))
  }, ms)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Asks again until `look` gives something: only for states of other programs that announce nothing (a bound port, a file). */
export async function until<T>(
  ms: number,
  look: () => Promise<T | undefined> | T | undefined,
  complaint: () => string,
): Promise<T> {
  const end = performance.now() + ms
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`${complaint()} (waited ${ms} ms)`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
