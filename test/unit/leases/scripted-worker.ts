/** Workers that use leases, behind a channel that a test moves by hand. */
import type { Caps, Uses } from '../../../src/leases/lessor.ts'

export const KEY = 'sessions store1'

/** A worker behind a channel that delivers in order, late or never. */
export class Worker {
  cap = 0
  used = 0
  waiting = 0
  /** what is on the way to it; it may be delivered after its sender has given up */
  readonly inbox: { caps: Caps; answer: (uses: Uses) => void; fail: (error: Error) => void }[] = []
  readonly ask = (caps: Caps): Promise<Uses> => new Promise((answer, fail) => this.inbox.push({ caps, answer, fail }))

  admit(): void {
    const more = Math.max(0, Math.min(this.waiting, this.cap - this.used))
    this.used += more
    this.waiting -= more
  }

  deliver(): void {
    const message = this.inbox.shift()
    if (!message) return
    this.cap = message.caps.get(KEY) ?? 0
    this.admit()
    message.answer(new Map([[KEY, { used: this.used, waiting: this.waiting }]]))
  }
}

export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Delivers all messages, and those that follow from them. */
export async function deliverAll(workers: readonly Worker[]): Promise<void> {
  for (let busy = true; busy;) {
    busy = false
    for (const worker of workers) {
      busy ||= worker.inbox.length > 0
      worker.deliver()
    }
    await settled()
  }
}
