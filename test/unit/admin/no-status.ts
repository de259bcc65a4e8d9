/** For tests that ask nothing of the state of the instance. */
import type { StatusParts } from '../../../src/admin/status-routes.ts'

export const NO_STATUS: StatusParts = {
  status: () => Promise.reject(new Error('not asked here')),
  history: () => {
    throw new Error('not asked here')
  },
}
