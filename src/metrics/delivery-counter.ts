/** The lookups of `delivery`. */
import { Counter, type Registry } from 'prom-client'

/** How a lookup can end. A closed set: it is a label. */
const DELIVERY_OUTCOMES = [
  'found',
  'not-found',
  'hold',
  'disabled',
  'no-port',
  'unavailable',
  'route-invalid',
  'unknown-map',
  'error',
] as const
export type DeliveryOutcome = (typeof DELIVERY_OUTCOMES)[number]

/** @returns counts one lookup */
export function createDeliveryCounter(registry: Registry): (outcome: DeliveryOutcome) => void {
  const lookups = new Counter({
    name: 'mailmux_delivery_lookups_total',
    help: 'Lookups of `delivery` by their outcome.',
    labelNames: ['outcome'],
    registers: [registry],
  })
  for (const outcome of DELIVERY_OUTCOMES) lookups.inc({ outcome }, 0)
  return (outcome) => lookups.inc({ outcome })
}
