/** All routes in Redis, page by page, with bounded memory. */
import type { Bulk } from '../directory/redis/bulk.ts'
import { causeOf, RedisFailure } from '../directory/redis/errors.ts'
import { toRoute, type RawRoute } from '../directory/redis/route-writer.ts'

export type ListedRoute = RawRoute & { user: string }

export type RouteFilter = {
  /** of the name, where `*` stands for any text */
  pattern?: string | undefined
  backend?: string | undefined
  status?: string | undefined
}

const FIELDS = ['backend', 'login', 'status', 'hold'] as const
/** Keys that Redis looks at for one reply. It serves others in between. */
const PAGE = 1000

/** A route can be in two pages, as Redis moves keys while it is walked over. @throws RedisFailure */
export async function* scanRoutes(
  bulk: Pick<Bulk, 'run' | 'scan'>,
  prefix: string,
  filter: RouteFilter,
): AsyncGenerator<ListedRoute[]> {
  const start = `${prefix}user:`
  for await (const keys of bulk.scan(`${escapeGlob(start)}${toGlob(filter.pattern ?? '*')}`, PAGE)) {
    const replies = await bulk.run(keys.map((key) => ({ key, words: ['hmget', key, ...FIELDS] })))
    const page = keys.flatMap((key, index): ListedRoute[] => {
      const fields = replies[index]
      if (fields instanceof Error && !fields.message.includes('WRONGTYPE'))
        throw new RedisFailure(`Redis: ${causeOf(fields)}`) // the list would lack a route, and look whole
      // Another type of key is no route; a hash without fields has been removed meanwhile.
      if (!Array.isArray(fields)) return []
      const [backend, login, status, hold] = fields.map((field) => (typeof field === 'string' ? field : undefined))
      const stored = toRoute([backend, login, status])
      // The hold of a move ends with it, or by itself.
      const isMoving = stored.status === 'hold' && hold !== undefined
      const route = isMoving ? { ...stored, status: undefined } : stored
      const isThere = route.backend !== undefined || route.login !== undefined || route.status !== undefined
      return isThere && matches(route, filter) ? [{ user: key.slice(start.length), ...route }] : []
    })
    if (page.length > 0) yield page
  }
}

function matches({ backend, status = 'active' }: RawRoute, filter: RouteFilter): boolean {
  return (
    (filter.backend === undefined || backend === filter.backend) &&
    (filter.status === undefined || status === filter.status)
  )
}

const escapeGlob = (text: string): string => text.replace(/[\\*?[\]]/gu, String.raw`\$&`)

/** Only the star has a meaning: names have other characters of patterns, such as `?`, in no place. */
const toGlob = (pattern: string): string => pattern.split('*').map(escapeGlob).join('*')
