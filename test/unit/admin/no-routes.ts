/** The routes of a mailmux whose directory is not Redis. */
import type { RouteParts } from '../../../src/admin/route-routes.ts'

const refuse = () => Promise.resolve({ result: 'no-place' as const, why: 'no routes here' })

export const NO_ROUTES: RouteParts['routes'] = { list: refuse, set: refuse, remove: refuse }
