/** The networks that may connect to a listener, and those that may not. Pure. */
import type { AccessSettings } from '../config/settings.ts'
import { createIpSet } from '../net/ip-set.ts'
import type { Rejection } from './rejection.ts'

export type Access = (address: string) => Rejection | undefined

const NOT_ALLOWED: Rejection = { limit: 'allow', kind: 'denied', detail: 'the address is in no network of allow' }
const DENIED: Rejection = { limit: 'deny', kind: 'denied', detail: 'the address is in a network of deny' }

/** @returns undefined where every address may connect. An address in both lists is denied. */
export function buildAccess({ allow, deny }: AccessSettings): Access | undefined {
  if (allow === undefined && deny.length === 0) return undefined
  const allowed = allow && createIpSet(allow)
  const denied = createIpSet(deny)
  return (address) => {
    if (denied.has(address)) return DENIED
    return allowed === undefined || allowed.has(address) ? undefined : NOT_ALLOWED
  }
}
