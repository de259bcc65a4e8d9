/**
 * Reports to the running mailmux of the configuration what a move does, so that it is listed and counted. Best effort: without an answer
 * nothing is said, and the move goes on. The reports have the counts since the begin, so that the next one makes up for one that is lost.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createAdminClient } from '../admin/client.ts'
import { MOST_REPORTED_USERS, type MoveReport } from '../admin/move-routes.ts'
import type { Environment } from '../config/yaml/variables.ts'
import { findRunning } from './ask-running.ts'
import type { MoveEvent, MoveOrder, MoveOutcome, MoveStep } from '../move/move-user.ts'

/** The instance forgets a run that has been silent for 30 s. */
const REPORT_EVERY_MS = 5000
/** Changes within this time are one report. */
const COLLECT_MS = 500
/** The text of the users of a report: with the rest it fits into 8 KiB, whatever their names are. */
const MAX_USERS_LENGTH = 6000

export type MoveReporter = {
  begin: (order: MoveOrder) => void
  step: (user: string, event: Pick<MoveEvent, 'step' | 'state'>) => void
  end: (user: string, outcome: MoveOutcome) => void
  /** Sends the last report. */
  close: () => Promise<void>
}

/** @param total users of the run */
export function openMoveReport(config: string, env: Environment, total: number): MoveReporter {
  const id = randomBytes(6).toString('hex')
  const found = findRunning(config, env)
  return createMoveReporter(total, async (report) => {
    const { place } = { place: undefined, ...(await found) }
    // Over HTTP a report needs a token, as everything that changes something.
    if (place && ('file' in place || place.token)) await createAdminClient(place).reportMove(id, report)
  })
}

/** Exported for its test. @param send may fail */
export function createMoveReporter(total: number, send: (report: MoveReport) => Promise<void>): MoveReporter {
  const running = new Map<string, MoveOrder & { step: MoveStep }>()
  const counts = { moved: 0, failed: 0, unknown: 0 }
  const by = `${hostname()
    .replace(/[^\w.-]/gu, '-')
    .slice(0, 100)}/${process.pid}`
  let sending: Promise<void> = Promise.resolve()
  let isSending = false
  let soon: NodeJS.Timeout | undefined

  function report(isOver: boolean): Promise<void> {
    clearTimeout(soon)
    soon = undefined
    isSending = true
    const users = firstOf([...running.values()])
    sending = send({ by, total, ...counts, running: running.size, users, isOver })
      .catch(() => undefined)
      .finally(() => (isSending = false))
    return sending
  }

  /** One report at a time: an instance that does not answer gets no more of them. */
  function later(): void {
    soon ??= setTimeout(() => {
      soon = undefined
      if (isSending) later()
      else void report(false)
    }, COLLECT_MS).unref()
  }

  const beat = setInterval(later, REPORT_EVERY_MS).unref()
  return {
    begin(order) {
      running.set(order.user, { ...order, step: 'check' })
      later()
    },
    step(user, { step, state }) {
      const one = running.get(user)
      if (!one || state !== 'begin') return
      one.step = step
      later()
    },
    end(user, outcome) {
      running.delete(user)
      counts[outcome.kind === 'failed' && outcome.route === 'unknown' ? 'unknown' : outcome.kind]++
      later()
    },
    async close() {
      clearInterval(beat)
      clearTimeout(soon)
      await sending
      await report(true)
    },
  }
}

function firstOf(users: readonly MoveReport['users'][number][]): MoveReport['users'] {
  const some: MoveReport['users'] = []
  let length = 0
  for (const user of users.slice(0, MOST_REPORTED_USERS)) {
    length += JSON.stringify(user).length * 3 // UTF-8 takes up to three octets for a unit of UTF-16
    if (length > MAX_USERS_LENGTH) break
    some.push(user)
  }
  return some
}
