/** The users of a bulk move and their targets, and everything that forbids it. */
import { readFileSync } from 'node:fs'
import type { BackendSettings, BackendState } from '../config/settings.ts'
import { scanUsers } from '../directory/redis/scan-users.ts'
import { checkTarget, checkUser } from '../move/check.ts'
import type { MoveOrder } from '../move/move-user.ts'
import { isInShare, parseShare, readUsersFile, type ListedUser } from '../move/selection.ts'
import { domainOf } from '../routing/identity.ts'
import { nameRules } from '../routes/names.ts'
import { choose, toCandidate } from '../routing/placement.ts'
import type { MoveSite } from './move-site.ts'

export type Selection = {
  from: string
  /** undefined: by placement */
  to?: string
  /** a file with one user a line; undefined: all users of the back end that have a hash of their own in Redis */
  users?: string
  /** such as `20%` */
  share?: string
}

export type Orders = {
  orders: MoveOrder[]
  /** everything that is wrong; nothing is begun then */
  wrong: string[]
  /** users that stay, and why */
  notes: string[]
}

/** Lookups at a time. */
const AT_ONCE = 50

/** @param isDone users that an earlier run has moved */
export async function selectOrders(
  site: MoveSite,
  selection: Selection,
  isDone: (user: string) => boolean,
): Promise<Orders> {
  const { routing } = site.settings
  const wrong: string[] = []
  const notes: string[] = []
  const from = routing.backends.get(selection.from)
  if (!from) wrong.push(`${selection.from} is no back end of the routing file`)
  const share = selection.share === undefined ? 1 : parseShare(selection.share)
  if (share === undefined) wrong.push(`--share ${selection.share} is no share such as 20%`)
  const targets = await findTargets(site, selection, from, wrong)
  if (!from || share === undefined || wrong.length > 0) return { orders: [], wrong, notes }

  const listed = await listUsers(site, selection, wrong)
  const orders: MoveOrder[] = []
  const stay = { disabled: 0, held: 0 }
  const users = listed.filter(({ user }) => !isDone(user) && isInShare(user, share))
  for (let index = 0; index < users.length; index += AT_ONCE) {
    const batch = users.slice(index, index + AT_ONCE)
    const records = await Promise.all(batch.map(({ user }) => site.store.read(user)))
    for (const [at, record] of records.entries()) {
      const { user, line } = batch[at] ?? { user: '', line: 0 }
      const isListed = line > 0
      if (!isListed && record.backend !== from.name) continue
      if (!isListed && record.status === 'disabled') stay.disabled++
      else if (!isListed && record.hold) stay.held++
      else {
        const to = targets(user)
        const errors = to === undefined ? ['no back end takes this user'] : checkUser(user, record, to, routing)
        if (record.backend !== undefined && record.backend !== from.name && record.backend !== to)
          errors.push(`the user is on ${record.backend.slice(0, 80)}, not on ${from.name}`)
        for (const why of errors)
          wrong.push(isListed ? `${selection.users}:${line}: ${user}: ${why}` : `${user}: ${why}`)
        if (to !== undefined && errors.length === 0) orders.push({ user, from: from.name, to })
      }
    }
  }
  if (stay.disabled > 0) notes.push(`${stay.disabled} disabled users stay on ${from.name}`)
  if (stay.held > 0)
    notes.push(`${stay.held} users on hold stay on ${from.name}: another move has them, or an operator`)
  const fixed = [...routing.users].filter(([, { backend }]) => backend === from.name).length
  if (!selection.users && fixed > 0) notes.push(`${fixed} users of the routing file stay on ${from.name}`)
  return { orders, wrong, notes }
}

async function listUsers(
  { settings, redis, redisSettings }: MoveSite,
  { users: file }: Selection,
  wrong: string[],
): Promise<ListedUser[]> {
  if (file === undefined) {
    const users = await scanUsers(redisSettings, redis)
    return [...users].sort().map((user) => ({ user, line: 0 }))
  }
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    wrong.push(`${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
  const read = readUsersFile(text, nameRules(settings.routing))
  for (const { line, why } of read.wrong) wrong.push(`${file}:${line}: ${why}`)
  return read.users
}

/** @returns the target of a user; undefined if there is none */
async function findTargets(
  site: MoveSite,
  { from: fromName, to: toName }: Selection,
  from: BackendSettings | undefined,
  wrong: string[],
): Promise<(user: string) => string | undefined> {
  const { routing, delivery } = site.settings
  const check = (to: BackendSettings, state: BackendState): string[] =>
    checkTarget(to, from, state, delivery !== undefined)
  if (toName !== undefined) {
    const to = routing.backends.get(toName)
    if (to) wrong.push(...check(to, await site.stateOf(toName)))
    else wrong.push(`${toName} is no back end of the routing file`)
    if (toName === fromName) wrong.push('--from and --to are the same back end')
    return () => toName
  }
  const { domains, others } = routing.placement
  const pools = new Set([...domains.values(), others])
  const usable = new Set<string>()
  for (const backend of new Set([...pools].flatMap((pool) => pool ?? []))) {
    const { name, weight } = backend
    // As for a new user, what cannot take users is left out.
    if (name !== fromName && weight > 0 && check(backend, await site.stateOf(name)).length === 0) usable.add(name)
  }
  if (usable.size === 0) wrong.push('no back end takes users by placement: give one by --to')
  const candidates = new Map(
    [...pools].map((pool) => [pool, (pool ?? []).filter(({ name }) => usable.has(name)).map(toCandidate)]),
  )
  return (user) => {
    const domain = domainOf(user)
    const pool = domain !== undefined && domains.has(domain) ? domains.get(domain) : others
    return choose(user, candidates.get(pool) ?? [])?.name
  }
}
