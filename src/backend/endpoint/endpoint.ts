/** One address of a back end for one protocol, with its health. */
import type { ProtocolName } from '../../config/settings.ts'
import type { Health } from '../health/health.ts'
import type { Address } from './addresses.ts'

export type Endpoint = {
  readonly protocol: ProtocolName
  /** the latest DNS result; `ip` and `port` never change */
  address: Address
  health: Health
  /** when the back end last answered a login there */
  provenMs: number
  /** when the next check is due; the prober sets it */
  checkDueMs: number
}
