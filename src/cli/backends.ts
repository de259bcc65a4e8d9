/** `mailmux backend`: lists the back ends of the running mailmux, and gives one a state in the directory. */
import { hostname, userInfo } from 'node:os'
import type { BackendAnswer } from '../admin/answers.ts'
import type { BackendState } from '../config/settings.ts'
import { hostPort } from '../net/address.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import { formatColumns, formatMs } from './table.ts'

export type StateOptions = { config: string; json?: true; over?: string; force?: true; reassign?: true }

/** @returns the exit code: 0, 2 if there is no answer */
export async function listBackends(
  { config, json }: { config: string; json?: true },
  terminal: Terminal,
): Promise<number> {
  return askRunning('mailmux backend list', config, terminal, async (client) => {
    const answer = await client.backends()
    const { backends } = answer
    for (const line of json ? formatJson(answer) : formatBackends(backends)) terminal.out(line)
    // Other instances have sessions, checks and queues of their own.
    const count = backends.length === 1 ? '1 back end' : `${backends.length} back ends`
    if (!json) terminal.out(`${count}; HEALTH, SESSIONS, LOGINS, WAITING and ADDRESSES are those of this instance`)
    return 0
  })
}

/** @returns the exit code: 0, 1 if the order is refused, 2 if there is no answer or the back end does not exist */
export async function setBackendState(
  backend: string,
  state: BackendState,
  { config, json, over, force, reassign }: StateOptions,
  terminal: Terminal,
): Promise<number> {
  return askRunning(`mailmux backend ${state}`, config, terminal, async (client) => {
    const order = { state, over, by: operator(), force: force === true, ...(reassign && { reassign }) }
    const answer = await client.setBackendState(backend, order)
    if (json) return printJson(answer, terminal)
    const { changed } = answer
    const what = describeState(state, over, reassign)
    terminal.out(changed ? `${backend}: ${what}, for all instances` : `${backend} has the state ${what} already`)
    if (state === 'drain') terminal.out(`next: mailmux wait ${backend} --empty`)
    return 0
  })
}

/** @returns the exit code, as setBackendState */
export async function resetBackendState(
  backend: string,
  { config, json }: { config: string; json?: true },
  terminal: Terminal,
): Promise<number> {
  return askRunning('mailmux backend reset', config, terminal, async (client) => {
    const answer = await client.resetBackendState(backend)
    if (json) return printJson(answer, terminal)
    const { changed } = answer
    terminal.out(
      changed ? `${backend}: as in routing.yaml, for all instances` : `${backend} has no state in Redis already`,
    )
    return 0
  })
}

function printJson(answer: object, { out }: Terminal): number {
  for (const line of formatJson(answer)) out(line)
  return 0
}

/** Exported for its test. */
export function formatBackends(backends: readonly BackendAnswer[]): string[] {
  const header = ['NAME', 'STATE', 'FROM', 'HEALTH', 'SESSIONS', 'LOGINS', 'WAITING', 'ADDRESSES']
  return formatColumns([header, ...backends.map(cellsOf)])
}

const PLACES = { routing: 'routing.yaml', directory: 'Redis' } as const

function describeState(state: BackendState, over: string | undefined, reassign: true | undefined): string {
  return `${state}${over === undefined ? '' : ` over ${over}`}${reassign ? ', users are reassigned' : ''}`
}

function cellsOf({ name, state, overMs, reassign, stateFrom, up, load, addresses }: BackendAnswer): string[] {
  const { sessions, logins, waiting, limits } = load
  const of = (count: number, most: number | undefined): string =>
    most === undefined ? `${count}` : `${count} of ${most}`
  return [
    name,
    describeState(state, overMs === undefined ? undefined : formatMs(overMs), reassign),
    PLACES[stateFrom],
    up ? 'up' : 'not up',
    of(sessions, limits.sessions),
    of(logins, limits.logins),
    of(waiting, limits.queue),
    addresses.length === 0 ? 'none' : addresses.map(formatAddress).join(', '),
  ]
}

function formatAddress({ protocol, ip, port, state, lastError }: BackendAnswer['addresses'][number]): string {
  const trouble = state === 'up' ? '' : ` ${state}${lastError === undefined ? '' : `: ${lastError}`}`
  return `${protocol} ${hostPort(ip, port)}${trouble}`
}

/** For the messages to other operators. A process may run as a user that the system has no name for. */
function operator(): string {
  const host = hostname()
  try {
    const name = `${userInfo().username}@${host}`
    return /^[\w.@-]{1,100}$/u.test(name) ? name : host
  } catch {
    return host
  }
}
