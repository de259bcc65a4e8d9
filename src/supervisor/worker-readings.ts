/** The metrics of the workers, with the counts of those that have ended. */
import { setTimeout as sleep } from 'node:timers/promises'
import { addToPast, type Reading } from '../metrics/readings.ts'
import type { Worker } from './worker-interface.ts'

/** Deadline of all readings: a scrape must not hang because one worker hangs. */
const ALL_MS = 1000
/** After that a question to one worker is given up. */
const ONE_MS = 15_000
/** Interval of readings if no scrape causes them. Counts since the last reading are lost when a worker crashes. */
const EVERY_MS = 10_000

export type WorkerReadings = {
  /** Reads regularly from now on. */
  start: () => void
  /** At most one question to a worker at a time. All scrapes share its answer. */
  read: (worker: Worker) => Promise<void>
  /** Takes what a worker tells at its end. */
  note: (worker: Worker, reading: Reading) => void
  all: () => Promise<Reading[]>
  /** Keeps the counts of an ended worker in the sums: a falling counter would look like a restart of mailmux. */
  bury: (worker: Worker) => void
  stop: () => void
}

export function createWorkerReadings(workers: () => readonly Worker[]): WorkerReadings {
  const last = new Map<Worker, Reading>()
  const asking = new Map<Worker, Promise<void>>()
  let past: Promise<Reading> = Promise.resolve([])
  let readMs = -Infinity
  let timer: NodeJS.Timeout | undefined

  function read(worker: Worker): Promise<void> {
    const underWay = asking.get(worker)
    if (underWay) return underWay
    const asked = worker
      .ask({ what: 'reading' }, ONE_MS)
      .then((told) => void last.set(worker, told))
      .catch(() => undefined) // its last known reading is used
      .finally(() => asking.delete(worker))
    asking.set(worker, asked)
    return asked
  }

  async function readAll(): Promise<void> {
    readMs = performance.now()
    const giveUp = new AbortController()
    const enough = sleep(ALL_MS, undefined, { signal: giveUp.signal }).catch(() => undefined)
    await Promise.race([Promise.all(workers().map(read)), enough])
    giveUp.abort()
  }

  return {
    start() {
      timer = setInterval(() => {
        if (performance.now() - readMs > EVERY_MS / 2) void readAll() // else a scrape has read them
      }, EVERY_MS)
    },
    read,
    note: (worker, reading) => void last.set(worker, reading),
    async all() {
      await readAll()
      const known = [...last.values()] // in the same step as `past`: a worker that ends in between would be in neither
      return [await past, ...known]
    },
    bury(worker) {
      const ended = last.get(worker)
      last.delete(worker)
      if (ended) past = past.then((before) => addToPast(before, ended))
    },
    stop: () => clearInterval(timer),
  }
}
