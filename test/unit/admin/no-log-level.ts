/** The level of the log of an API that is asked for none. */
import type { LogParts } from '../../../src/admin/log-routes.ts'

export const NO_LOG_LEVEL: LogParts['logLevel'] = {
  status: () => ({ level: 'info', configured: 'info' }),
  set: () => Promise.reject(new Error('not asked')),
  reset: () => Promise.reject(new Error('not asked')),
}
