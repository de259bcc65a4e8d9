/** `mailmux sessions` and `mailmux sessions end`: lists the sessions of the running mailmux, and ends them. */
import type { EndedAnswer, SessionAnswer, SessionsAnswer } from '../admin/answers.ts'
import { hasFilter, type SessionFilter } from '../admin/session-routes.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import { formatScope, reportMissing } from './coverage.ts'
import { formatColumns, formatMs } from './table.ts'

export type ListOptions = SessionFilter & { config: string; json?: true }
export type EndOptions = ListOptions & { all?: true; now?: true }
export type RebalanceOptions = ListOptions & { share: string; over?: string }

const LIST = 'mailmux sessions'
const END = 'mailmux sessions end'
const REBALANCE = 'mailmux rebalance'

/** @returns the exit code: 0, 1 if the sessions of a worker or an instance are missing in the list, 2 if there is no answer */
export async function listSessions({ config, json, ...filter }: ListOptions, terminal: Terminal): Promise<number> {
  return askRunning(LIST, config, terminal, async (client) => {
    const answer = await client.sessions(filter)
    for (const line of json ? formatJson(answer) : formatSessions(answer)) terminal.out(line)
    return reportMissing(answer, LIST, 'its sessions are missing in the list', terminal)
  })
}

/** @returns the exit code: 0 also if no session matches, 1 if a worker or an instance did not answer, 2 without a filter and if there is no answer */
export async function endSessions(
  { config, json, all, now, ...filter }: EndOptions,
  terminal: Terminal,
): Promise<number> {
  const isFiltered = hasFilter(filter)
  if (isFiltered === (all === true)) {
    const what = isFiltered
      ? '--all goes with no filter'
      : 'which sessions? Say --user, --backend, --client or --listener, or --all'
    terminal.printError(`${END}: ${what}`)
    return 2
  }
  return askRunning(END, config, terminal, async (client) => {
    const answer = await client.endSessions({ ...filter, all: all === true, now: now === true })
    for (const line of json ? formatJson(answer) : [formatEnded(answer, now ? 'now' : 'at a safe point')])
      terminal.out(line)
    return reportMissing(answer, END, 'it may end its sessions later: ask again to be sure', terminal)
  })
}

/** @returns the exit code: 0, 1 if a worker or an instance did not answer, 2 for wrong usage and if there is no answer */
export async function rebalance(
  { config, json, share, over, ...filter }: RebalanceOptions,
  terminal: Terminal,
): Promise<number> {
  return askRunning(REBALANCE, config, terminal, async (client) => {
    const answer = await client.rebalance({ ...filter, all: !hasFilter(filter), share, over })
    const how = over === undefined ? 'gradually' : `over ${over}`
    for (const line of json ? formatJson(answer) : [formatEnded(answer, how)]) terminal.out(line)
    return reportMissing(answer, REBALANCE, 'its sessions may stay: ask again to be sure', terminal)
  })
}

/** Exported for its test. */
export function formatSessions({ sessions, total, instances = [], scope, why }: SessionsAnswer): string[] {
  const generations = new Map(instances.map(({ instance, generation }) => [instance, generation]))
  const more = [
    ...(sessions.some(({ worker }) => worker !== undefined) ? (['WORKER'] as const) : []),
    ...(instances.length > 1 ? (['INSTANCE'] as const) : []),
    // During an upgrade. Otherwise the number tells nothing.
    ...(new Set(generations.values()).size > 1 ? (['GENERATION'] as const) : []),
  ]
  const cellOf = ({ worker, instance }: SessionAnswer, column: (typeof more)[number]): string => {
    if (column === 'WORKER') return String(worker ?? '-')
    if (column === 'INSTANCE') return instance ?? '-'
    return String(generations.get(instance ?? '') ?? '-')
  }
  const header = ['USER', 'PROTOCOL', 'BACKEND', 'CLIENT', 'LISTENER', 'AGE', 'IDLE', ...more]
  const rows = sessions.map((session) => [...cellsOf(session), ...more.map((column) => cellOf(session, column))])
  const count = countOf(total)
  const summary = sessions.length < total ? `${count}; the ${sessions.length} oldest are listed` : count
  return [...(rows.length > 0 ? formatColumns([header, ...rows]) : []), `${summary}${formatScope({ scope, why })}`]
}

/** A session that does not relay yet has its phase in the place of its idle time. */
function cellsOf(session: SessionAnswer): string[] {
  const { user = '-', protocol, backend = '-', client, listener, ageSeconds, idleSeconds, phase } = session
  const idle = idleSeconds === undefined ? `(${phase})` : formatMs(idleSeconds * 1000)
  return [user, protocol, backend, client, listener, formatMs(Math.floor(ageSeconds) * 1000), idle]
}

function formatEnded({ ended, workers, instances = [], scope, why }: EndedAnswer, how: string): string {
  if (ended === 0) return `0 sessions end${formatScope({ scope, why })}`
  const verb = ended === 1 ? 'ends' : 'end'
  const each =
    instances.length > 1 ? instances.map(formatInstance).join(', ') : formatWorkers(instances[0] ?? { workers })
  const where = each === '' ? '' : ` (${each})`
  return `${countOf(ended)} ${verb} ${how}${where}${formatScope({ scope, why })}`
}

function formatInstance({ instance, ended, workers }: NonNullable<EndedAnswer['instances']>[number]): string {
  const each = formatWorkers({ workers })
  return `${instance}: ${ended}${each === '' ? '' : `, of which ${each}`}`
}

function formatWorkers({ workers = [] }: Pick<EndedAnswer, 'workers'>): string {
  return workers.map(({ worker, ended: own }) => `worker ${worker}: ${own}`).join(', ')
}

function countOf(count: number): string {
  return count === 1 ? '1 session' : `${count} sessions`
}
