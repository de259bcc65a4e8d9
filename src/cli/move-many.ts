/** `mailmux move --from`: moves the users of a back end, several at a time, with a journal by which a second run goes on. */
import { moveMany } from '../move/bulk.ts'
import { JournalUnusable, openJournal, type Journal } from '../move/journal.ts'
import { moveUser, type MoveOrder, type MoveOutcome } from '../move/move-user.ts'
import { formatProgress, formatRate } from '../move/progress.ts'
import { checkCommand, createRunCommand } from '../move/run-command.ts'
import { seconds } from '../move/step.ts'
import { printable } from '../printable.ts'
import { describeOutcome, formatMoveLine } from './move-events.ts'
import { openMoveReport, type MoveReporter } from './move-report.ts'
import { selectOrders, type Selection } from './move-orders.ts'
import type { MoveSite } from './move-site.ts'
import { checkAgain, formatOutcome, TEMPORARY, withSite, type MoveOptions, type MoveTerminal } from './move.ts'
import { newToken } from './move-site.ts'

export type ManyOptions = MoveOptions & Selection & { parallel: string; journal?: string; dryRun?: true }

export type ManyTerminal = MoveTerminal & {
  /** shows one line in the place of the last one; undefined where standard error is no terminal */
  showProgress: ((line: string) => void) | undefined
}

const MOST_PARALLEL = 200
const PROGRESS_MS = 500
/** Errors that are printed; the rest is counted. */
const MOST_ERRORS = 200

/** @returns the exit code: 0 all moved, 1 some failed or nothing was begun, 75 interrupted or only temporary failures, 2 wrong usage or configuration */
export async function moveAll(options: ManyOptions, terminal: ManyTerminal): Promise<number> {
  const parallel = /^\d{1,3}$/u.test(options.parallel) ? Number(options.parallel) : 0
  if (parallel < 1 || parallel > MOST_PARALLEL) {
    terminal.printError(`mailmux move: --parallel is a number from 1 to ${MOST_PARALLEL}`)
    return 2
  }
  return withSite(options, terminal, async (site) => {
    let journal: Journal | undefined
    try {
      if (options.journal !== undefined && !options.dryRun)
        journal = openJournal(options.journal, { from: options.from, to: options.to ?? null })
      return await run(site, options, { ...terminal, parallel, journal })
    } catch (error) {
      if (!(error instanceof JournalUnusable)) throw error
      terminal.printError(printable(`mailmux move: ${error.message}`))
      return 1
    } finally {
      journal?.close()
    }
  })
}

type Run = ManyTerminal & { parallel: number; journal: Journal | undefined }

async function run(site: MoveSite, options: ManyOptions, terminal: Run): Promise<number> {
  const { env, out, printError, journal, parallel } = terminal
  if (journal) {
    await settleInterrupted(site, journal)
    journal.lost.throwIfAborted()
  }
  // Without its journal a run does not go on: the users that are being moved are rolled back.
  const stop = journal ? AbortSignal.any([terminal.stop, journal.lost]) : terminal.stop
  // A file names users who were moved too. Redis names only those who are on the back end now.
  const isDone = (user: string): boolean => options.users !== undefined && journal?.users.get(user)?.kind === 'moved'
  const { orders, wrong, notes } = await selectOrders(site, options, isDone)
  const command = options.run === undefined ? undefined : checkCommand(options.run, env)
  if (command !== undefined) wrong.push(command)
  for (const note of notes)
    if (options.json) out(formatMoveLine({ event: 'note', message: note }))
    else printError(printable(`note: ${note}`))
  if (wrong.length > 0 && options.json) {
    out(formatMoveLine({ event: 'refused', errors: wrong }))
    return 1
  }
  if (wrong.length > 0) {
    for (const one of wrong.slice(0, MOST_ERRORS)) printError(printable(`mailmux move: ${one}`))
    if (wrong.length > MOST_ERRORS) printError(`and ${wrong.length - MOST_ERRORS} more errors`)
    printError('nothing was begun')
    return 1
  }
  if (options.dryRun) return showOrders(orders, out, options.json === true)

  const report = openMoveReport(options.config, env, orders.length)
  const startMs = performance.now()
  const state = { total: orders.length, moved: 0, failed: 0, running: 0 }
  const heldMs: number[] = []
  const show = (): void => terminal.showProgress?.(formatProgress({ ...state, elapsedMs: performance.now() - startMs }))
  const showing = setInterval(show, PROGRESS_MS)
  const { moved, failed, temporary, notBegun, gaveUp } = await moveMany({
    orders,
    parallel,
    stop,
    move: (order) => moveInJournal(site, order, options, { ...terminal, stop }, report),
    onBegin(order) {
      report.begin(order)
      state.running++
    },
    onEnd(order, outcome) {
      state.running--
      state[outcome.kind]++
      report.end(order.user, outcome)
      if (outcome.kind === 'moved') heldMs.push(outcome.heldMs)
      else {
        terminal.showProgress?.('')
        if (!options.json) printError(formatOutcome(order, outcome))
      }
      if (options.json) out(formatMoveLine(describeOutcome(order, outcome)))
    },
  }).finally(() => clearInterval(showing))
  const tookMs = performance.now() - startMs
  show()
  terminal.showProgress?.('\n')
  await report.close()

  const isForNow = stop.aborted || temporary === failed
  const code = failed + notBegun === 0 ? 0 : isForNow && !journal?.lost.aborted ? TEMPORARY : 1
  if (journal?.lost.aborted) printError(printable(`the journal was lost: ${(journal.lost.reason as Error).message}`))
  if (options.json) {
    const counts = { total: orders.length, moved, failed, notBegun }
    out(formatMoveLine({ event: 'end', ...counts, tookMs: Math.round(tookMs), code }))
    return code
  }
  const rate = formatRate(tookMs > 0 ? ((moved + failed) * 1000) / tookMs : 0)
  out(`moved ${moved} of ${orders.length}, ${failed} failed, ${notBegun} not begun, in ${seconds(tookMs)} (${rate})`)
  if (heldMs.length > 0) out(`on hold: ${formatHeld(heldMs)}`)
  if (gaveUp) printError('too many moves failed in a row: no further user was begun')
  if (code === 0) return 0
  out(
    `to go on, run the same command again${journal ? '' : ': users that were moved are not on the back end any more'}`,
  )
  return code
}

/** Settles the moves that a previous run has left half-way: ends their holds, and finds out which users were moved. */
async function settleInterrupted({ store }: MoveSite, journal: Journal): Promise<void> {
  for (const [user, state] of journal.users) {
    if (state.kind !== 'begun') continue
    // After the release no late switch of that run can take effect.
    const backend = await store.release(user, state.token)
    const order = { user, from: state.from, to: state.to }
    const why = 'the run before was interrupted'
    await journal.end(
      order,
      backend === state.to
        ? { kind: 'moved', heldMs: 0 }
        : { kind: 'failed', step: 'check', why, temporary: true, route: 'old' },
    )
  }
}

async function moveInJournal(
  site: MoveSite,
  order: MoveOrder,
  options: ManyOptions,
  { env, out, journal, stop }: Run,
  report: MoveReporter,
): Promise<MoveOutcome> {
  const outcome = await moveUser(
    order,
    {
      ...site.shared,
      check: async () => checkAgain(site, order.user, order.to),
      run: options.run === undefined ? undefined : createRunCommand(options.run, env),
      newToken() {
        const token = newToken()
        journal?.begin(order, token)
        return token
      },
      tell(event) {
        const { step, state } = event
        report.step(order.user, event)
        if (options.json) out(formatMoveLine({ event: 'step', user: order.user, ...event }))
        if (state === 'done') journal?.step(order.user, step)
      },
    },
    stop,
  )
  await journal?.end(order, outcome)
  return outcome
}

function showOrders(orders: readonly MoveOrder[], out: (line: string) => void, isJson: boolean): number {
  if (isJson) {
    for (const { user, from, to } of orders) out(formatMoveLine({ event: 'planned', user, from, to }))
    const counts = { total: orders.length, moved: 0, failed: 0, notBegun: orders.length }
    out(formatMoveLine({ event: 'end', ...counts, tookMs: 0, code: 0 }))
    return 0
  }
  const counts = new Map<string, number>()
  for (const { user, from, to } of orders) {
    out(printable(`${user} ${from} ${to}`))
    counts.set(to, (counts.get(to) ?? 0) + 1)
  }
  const sums = [...counts].map(([to, count]) => `${count} to ${to}`)
  out(`${orders.length} users would be moved${sums.length > 0 ? `: ${sums.join(', ')}` : ''}`)
  return 0
}

function formatHeld(heldMs: number[]): string {
  const sorted = heldMs.toSorted((a, b) => a - b)
  const at = (part: number): string =>
    seconds(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0)
  return `${at(0.5)} in the middle, ${at(0.99)} for 99 of 100, ${at(1)} at most`
}
