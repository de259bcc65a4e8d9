/** The counter of the limits on clients. Its label comes from a closed set: names of keys, and `block`. */
import { Counter, type Registry } from 'prom-client'

/** @returns counts a connection or a login that `limit` has rejected or delayed */
export function createLimitCounter(registry: Registry): (limit: string) => void {
  const limits = new Counter({
    name: 'mailmux_limits_hit_total',
    help: 'Connections and logins that a limit on clients has rejected or delayed.',
    labelNames: ['limit'],
    registers: [registry],
  })
  return (limit) => limits.inc({ limit })
}
