/** `mailmux move USER BACKEND`: moves one user, and prints each step. */
import type { Environment } from '../config/yaml/variables.ts'
import { readDuration } from '../duration.ts'
import { checkTarget, checkUser, isHeldByMove } from '../move/check.ts'
import { moveUser, type MoveEvent, type MoveOutcome } from '../move/move-user.ts'
import { checkCommand, createRunCommand } from '../move/run-command.ts'
import { seconds, StepFailed } from '../move/step.ts'
import { printable } from '../printable.ts'
import { placedName } from '../routing/new-users.ts'
import { nameRules } from '../routes/names.ts'
import { readUser } from '../user-name.ts'
import type { UserRecord } from '../directory/redis/move-store.ts'
import { describeOutcome, formatMoveLine } from './move-events.ts'
import { openMoveReport } from './move-report.ts'
import { newToken, openMoveSite, type MoveSite, type SiteOptions } from './move-site.ts'
import { NotOpened } from './redis-site.ts'

export type MoveOptions = {
  config: string
  run?: string
  settle?: string
  assumeDead?: true
  offline?: true
  json?: true
}

export type MoveTerminal = {
  env: Environment
  /** take one line each, without its end */
  out: (line: string) => void
  printError: (line: string) => void
  /** aborted when the operator interrupts the command */
  stop: AbortSignal
}

/** sysexits(3) EX_TEMPFAIL: the same command may succeed later. */
export const TEMPORARY = 75

/** @returns the exit code: 0 moved, 1 not moved, 75 not moved and may be tried again, 2 wrong usage or configuration */
export async function moveOne(
  typed: string,
  to: string,
  options: MoveOptions,
  terminal: MoveTerminal,
): Promise<number> {
  return withSite(options, terminal, async (site) => {
    const { user, record } = await findUser(site, typed)
    const command = options.run
    const wrong = [
      ...(await checkMove(site, user, record, to)),
      ...[command === undefined ? undefined : checkCommand(command, terminal.env)].filter((one) => one !== undefined),
    ]
    if (wrong.length > 0) {
      const temporary = isHeldByMove(record, wrong)
      if (options.json) terminal.out(formatMoveLine({ event: 'refused', user, errors: wrong, temporary }))
      else for (const one of wrong) terminal.printError(printable(`mailmux move: ${typed}: ${one}`))
      return temporary ? TEMPORARY : 1
    }
    const startMs = performance.now()
    const order = { user, from: record.backend ?? '', to }
    const report = openMoveReport(options.config, terminal.env, 1)
    report.begin(order)
    const outcome = await moveUser(
      order,
      {
        ...site.shared,
        check: async () => checkAgain(site, user, to),
        run: command === undefined ? undefined : createRunCommand(command, terminal.env),
        newToken,
        tell: (event) => {
          report.step(user, event)
          if (options.json) terminal.out(formatMoveLine({ event: 'step', user, ...event }))
          else for (const line of formatEvent(event)) terminal.out(line)
        },
      },
      terminal.stop,
    )
    const isMoved = outcome.kind === 'moved'
    const code = isMoved ? 0 : outcome.temporary ? TEMPORARY : 1
    if (options.json) {
      terminal.out(formatMoveLine(describeOutcome(order, outcome)))
      const counts = { total: 1, moved: isMoved ? 1 : 0, failed: isMoved ? 0 : 1, notBegun: 0 }
      const tookMs = Math.round(performance.now() - startMs)
      terminal.out(formatMoveLine({ event: 'end', ...counts, tookMs, code }))
    } else (isMoved ? terminal.out : terminal.printError)(formatOutcome(order, outcome))
    report.end(user, outcome)
    await report.close()
    return code
  })
}

/** Opens what a move needs, and closes it. @returns the exit code */
export async function withSite(
  options: MoveOptions,
  { env, printError }: Pick<MoveTerminal, 'env' | 'printError'>,
  use: (site: MoveSite) => Promise<number>,
): Promise<number> {
  const siteOptions = readOptions(options)
  if (typeof siteOptions === 'string') {
    printError(printable(`mailmux move: ${siteOptions}`))
    return 2
  }
  let site: MoveSite
  try {
    site = await openMoveSite(siteOptions, env)
  } catch (error) {
    if (!(error instanceof NotOpened)) throw error
    for (const line of error.message.split('\n')) printError(line)
    return error.isTemporary ? TEMPORARY : 2
  }
  try {
    return await use(site)
  } catch (error) {
    printError(printable(`mailmux move: ${StepFailed.of(error).message}`))
    return StepFailed.of(error).isTemporary ? TEMPORARY : 1
  } finally {
    site.close()
  }
}

/** @returns what is wrong with them */
function readOptions({ config, settle, assumeDead, offline }: MoveOptions): SiteOptions | string {
  const settleMs = settle === undefined ? undefined : readDuration(settle)
  if (settle !== undefined && (settleMs === undefined || settleMs > MOST_SETTLE_MS))
    return `--settle ${settle} is no duration up to 10m, such as 0s, 35s or 2m`
  return { config, settleMs, assumeDead: assumeDead === true, offline: offline === true }
}

/** All logins of the user wait for this time. */
const MOST_SETTLE_MS = 600_000

/** @returns the name of the route as it is in the directory, and what is there */
async function findUser({ settings, store }: MoveSite, typed: string): Promise<{ user: string; record: UserRecord }> {
  const read = readUser(typed, nameRules(settings.routing))
  if (!read) throw new StepFailed(`${typed} cannot be the name of a user`)
  const record = await store.read(read.user)
  const placed = placedName(read.user)
  if (record.backend !== undefined || placed === read.user) return { user: read.user, record }
  const asPlaced = await store.read(placed)
  return asPlaced.backend === undefined ? { user: read.user, record } : { user: placed, record: asPlaced }
}

/** @returns everything that forbids the move */
async function checkMove(site: MoveSite, user: string, record: UserRecord, to: string): Promise<string[]> {
  const { routing, delivery } = site.settings
  const wrong = checkUser(user, record, to, routing)
  const target = routing.backends.get(to)
  if (!target) return [...wrong, `${to} is no back end of the routing file`]
  const from = routing.backends.get(record.backend ?? '')
  return [...wrong, ...checkTarget(target, from, await site.stateOf(to), delivery !== undefined)]
}

/** Reads the user, and checks. @throws StepFailed, which is temporary, if only the hold of another move forbids the move */
export async function checkAgain(site: MoveSite, user: string, to: string): Promise<string[]> {
  const record = await site.store.read(user)
  const wrong = await checkMove(site, user, record, to)
  if (isHeldByMove(record, wrong)) throw new StepFailed(wrong.join('; '), { isTemporary: true })
  return wrong
}

/** Lines of one event; the width of a step's name is that of the longest. */
function formatEvent({ step, state, detail = '', tookMs = 0 }: MoveEvent): string[] {
  if (state === 'begin') return []
  const words = state === 'done' ? `done in ${seconds(tookMs)}` : detail
  return [printable(`${step.padEnd(8)} ${words}`)]
}

export function formatOutcome(
  { user, from, to }: { user: string; from: string; to: string },
  outcome: MoveOutcome,
): string {
  if (outcome.kind === 'moved')
    return printable(`${user}: moved from ${from} to ${to}, on hold for ${seconds(outcome.heldMs)}`)
  const { step, why, route, now } = outcome
  const where = now ? formatChange(now, from, to) : route === 'old' ? `the user stays on ${from}` : ROUTE_UNKNOWN
  return printable(`${user}: not moved: ${step}: ${why}; ${where}`)
}

const ROUTE_UNKNOWN = 'the route is not known'

/** A move deletes nothing: what the command has copied stays too. */
function formatChange({ backend }: { backend: string | undefined }, from: string, to: string): string {
  const mail = `the mail on ${from}, and what was copied to ${to}, are left as they are`
  if (backend === undefined) return `the user has no route any more: it was removed while the move ran; ${mail}`
  return `the route names ${backend} now, by another program; ${mail}`
}
