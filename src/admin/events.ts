/**
 * Events for those who follow mailmux: numbered, kept for a while for readers that come back, and given to a bounded number of readers, each
 * with a bounded queue. It knows no HTTP.
 */

/** A page, `mailmux top`, a chat robot and a log collector, twice. Each has one of 64 connections. */
export const MOST_READERS = 16
/** The last minutes of a site in trouble. */
const MOST_KEPT = 500
/** For a reader that is slower than the events. One of a local network reads hundreds a second. */
const MOST_WAITING = 500

export type Event = { id: string; name: string; data: object }

export type Reader = {
  /** @returns the next one; undefined: the reader was too slow, or mailmux ends, as `why` says */
  next(): Promise<Event | undefined>
  /** undefined while it goes on */
  why(): 'slow' | 'over' | undefined
  close(): void
}

export type Events = {
  publish: (name: string, data: object) => void
  /** @param after the id of the last event that the reader has; unknown ids bring none. @returns undefined: there are too many */
  read: (after?: string) => Reader | undefined
  /** Ends all readers. */
  close: () => void
}

/**
 * @param epoch tells the numbers of this process from those of others
 * @param onReaders is told when there is a first reader, and when there is none any more
 */
export function createEvents(epoch: string, onReaders: (hasReaders: boolean) => void = () => undefined): Events {
  const kept: Event[] = []
  const readers = new Set<{ push: (event: Event) => void; end: (why: 'slow' | 'over') => void }>()
  let count = 0
  let isOver = false

  function since(id: string | undefined): Event[] {
    const at = id === undefined ? -1 : kept.findIndex((event) => event.id === id)
    return at === -1 ? [] : kept.slice(at + 1)
  }

  return {
    publish(name, data) {
      const event = { id: `${epoch}-${++count}`, name, data }
      kept.push(event)
      if (kept.length > MOST_KEPT) kept.shift()
      for (const reader of [...readers]) reader.push(event)
    },
    read(after) {
      if (isOver || readers.size >= MOST_READERS) return undefined
      const waiting = since(after)
      let wake: ((event: Event | undefined) => void) | undefined
      let why: 'slow' | 'over' | undefined
      const reader = {
        push(event: Event) {
          if (wake) {
            wake(event)
            wake = undefined
          } else if (waiting.push(event) > MOST_WAITING) reader.end('slow')
        },
        end(cause: 'slow' | 'over') {
          why ??= cause
          waiting.length = 0
          if (readers.delete(reader) && readers.size === 0) onReaders(false)
          wake?.(undefined)
          wake = undefined
        },
      }
      readers.add(reader)
      if (readers.size === 1) onReaders(true)
      return {
        next: () =>
          why === undefined && waiting.length === 0
            ? new Promise((resolve) => (wake = resolve))
            : Promise.resolve(waiting.shift()),
        why: () => why,
        close: () => reader.end('over'),
      }
    },
    close() {
      isOver = true
      for (const reader of [...readers]) reader.end('over')
    },
  }
}
