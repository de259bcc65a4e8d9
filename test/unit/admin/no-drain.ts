/** The drain of an API that is asked for none. */
import type { DrainParts } from '../../../src/admin/drain-routes.ts'

export const NO_DRAIN: DrainParts['drain'] = {
  order: () => Promise.reject(new Error('not asked')),
  status: () => Promise.reject(new Error('not asked')),
}
