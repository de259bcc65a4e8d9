/** Orders of operators for routes, over the Redis of this instance. */
import type { RouteNotDone, RouteParts } from '../admin/route-routes.ts'
import type { Settings } from '../config/settings.ts'
import { openBulk } from '../directory/redis/bulk.ts'
import { RedisFailure } from '../directory/redis/errors.ts'
import { MuxError } from '../errors.ts'
import { createRouteOrders, type RouteOrders } from '../routes/orders.ts'
import { scanRoutes, type ListedRoute } from '../routes/scan.ts'
import type { SiteRedis } from './site-redis.ts'

const NO_PLACE: RouteNotDone = {
  result: 'no-place',
  why: 'the routes are not in Redis: they are `users` in the routing file, or the auth server has them',
}

/** @param redis undefined: the directory is not Redis. @param settings those in force */
export function createSiteRoutes(redis: () => SiteRedis | undefined, settings: () => Settings): RouteParts['routes'] {
  async function attempt<T>(work: () => Promise<T>): Promise<T | RouteNotDone> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof MuxError || error instanceof RedisFailure)) throw error
      return { result: 'unavailable', why: error.message }
    }
  }
  async function order<T>(work: (orders: RouteOrders) => Promise<T>): Promise<T | RouteNotDone> {
    const site = redis()
    if (!site) return NO_PLACE
    return attempt(() => work(createRouteOrders(site.client, site.prefix, settings().routing)))
  }
  return {
    set: (user, change) => order((orders) => orders.set(user, change)),
    remove: (user) => order((orders) => orders.remove(user)),
    list({ limit, ...filter }) {
      const { directory } = settings()
      if (directory.kind !== 'redis') return Promise.resolve(NO_PLACE)
      return attempt(async () => {
        const bulk = await openBulk(directory)
        const routes: ListedRoute[] = []
        try {
          for await (const page of scanRoutes(bulk, directory.prefix, filter)) {
            routes.push(...page)
            if (routes.length > limit) break
          }
        } finally {
          bulk.close()
        }
        return { routes: routes.slice(0, limit), more: routes.length > limit }
      })
    },
  }
}
