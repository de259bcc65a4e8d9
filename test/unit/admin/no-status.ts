/** For tests that ask nothing of the state of the instance and of refusals. */
import type { RefusalParts } from '../../../src/admin/refusal-routes.ts'
import type { StatusParts } from '../../../src/admin/status-routes.ts'

export const NO_STATUS: StatusParts & RefusalParts = {
  refusals: () => Promise.reject(new Error('not asked here')),
  status: () => Promise.reject(new Error('not asked here')),
  history: () => {
    throw new Error('not asked here')
  },
}
