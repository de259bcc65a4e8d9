/** What forbids a move, of the configuration and of what the directory says. Pure. */
import type { BackendSettings, BackendState, RoutingSettings } from '../config/settings.ts'
import type { UserRecord } from '../directory/redis/move-store.ts'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { describeHolder } from './hold.ts'

/**
 * @param to the target
 * @param from undefined if it is not known which back end the users leave
 * @param state that is in effect for the target
 * @returns everything that is wrong, in words
 */
export function checkTarget(
  to: BackendSettings,
  from: BackendSettings | undefined,
  state: BackendState,
  hasDelivery: boolean,
): string[] {
  const wrong: string[] = []
  if (state !== 'up') wrong.push(`the state of ${to.name} is ${state}, not up`)
  if (!from) return wrong
  const missing = PROTOCOL_NAMES.filter((protocol) => serves(from, protocol) && !serves(to, protocol))
  if (missing.length > 0) wrong.push(`${to.name} does not serve ${missing.join(' and ')}, which ${from.name} serves`)
  if (hasDelivery && from.lmtp !== undefined && to.lmtp === undefined)
    wrong.push(`${to.name} has no lmtp port, which ${from.name} has`)
  return wrong
}

function serves({ ports, srv }: BackendSettings, protocol: keyof BackendSettings['ports']): boolean {
  return (srv ?? ports)[protocol] !== undefined
}

/**
 * @param user the name of the route
 * @returns everything that is wrong with the user, in words; nothing if the user can be moved to `to`
 */
export function checkUser(user: string, record: UserRecord, to: string, routing: RoutingSettings): string[] {
  if (routing.users.has(user)) return ['the route of the user is in the routing file: change it there']
  const { backend, status, hold } = record
  if (backend === undefined) {
    const domain = routing.domains.get(user.slice(user.indexOf('@') + 1))
    return [
      domain === undefined
        ? `the directory has no route of the user${user.includes('@') ? '' : `: give the name as it is in the directory, with its domain (${user}@DOMAIN)`}`
        : `the user has no route besides that of the domain to ${domain.backend}: write one to the directory first`,
    ]
  }
  const wrong: string[] = []
  if (hold) wrong.push(describeHolder(hold.by, hold.sinceSeconds))
  else if (status === 'disabled') wrong.push('the user is disabled')
  else if (status !== undefined && status !== 'active' && status !== 'hold')
    wrong.push(`the directory has the unknown status ${JSON.stringify(status.slice(0, 40))}`)
  if (backend === to) wrong.push(`the user is on ${to} already`)
  else if (!routing.backends.has(backend))
    wrong.push(`the route names ${JSON.stringify(backend.slice(0, 80))}, which is no back end of the routing file`)
  return wrong
}

/** @returns whether the hold of another move, which ends by itself, is all that is wrong */
export function isHeldByMove({ hold }: UserRecord, wrong: readonly string[]): boolean {
  return hold?.by !== undefined && wrong.length === 1 && wrong[0] === describeHolder(hold.by, hold.sinceSeconds)
}
