/** Whether one process of a worker answers, by pings. */

/** A worker without an answer for this long counts as not answering: no normal work blocks an event loop for so long. */
const SILENT_MS = 5000

export type Answering = {
  /** Sends a ping if the last one was answered, else notes a silence. */
  ping: () => void
  isSilent: () => boolean
}

/**
 * @param send settles when the ping is answered; rejects if the process has ended
 * @param notes called once for each silence, and for the answer that ends it
 */
export function createAnswering(
  send: () => Promise<unknown>,
  notes: { silent: (ms: number) => void; again: (ms: number) => void },
): Answering {
  let askedMs: number | undefined
  let saidSilent = false
  const isSilent = (): boolean => askedMs !== undefined && performance.now() - askedMs > SILENT_MS

  function noteAnswer(): void {
    if (saidSilent) notes.again(Math.round(performance.now() - (askedMs ?? 0)))
    askedMs = undefined
    saidSilent = false
  }

  return {
    ping() {
      if (askedMs === undefined) {
        askedMs = performance.now()
        send().then(noteAnswer, () => undefined)
      } else if (isSilent() && !saidSilent) {
        saidSilent = true
        notes.silent(Math.round(performance.now() - askedMs))
      }
    },
    isSilent,
  }
}
