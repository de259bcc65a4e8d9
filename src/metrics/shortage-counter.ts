/** The one series that both a worker and the instance record: a single process has it once. */
import { Counter, type Registry } from 'prom-client'
import { SHORTAGE_PLACES, type ShortagePlace } from '../errors.ts'

/** @returns counts a shortage. May be called again for the same registry */
export function createShortageCounter(registry: Registry): (place: ShortagePlace) => void {
  const existing = registry.getSingleMetric('mailmux_local_shortages_total')
  const counter = existing instanceof Counter ? existing : declare(registry)
  return (place) => counter.inc({ place })
}

function declare(registry: Registry): Counter<'place'> {
  const shortages = new Counter({
    name: 'mailmux_local_shortages_total',
    help: 'Times that a descriptor, memory or a local port was missing here, by what could not be done for it.',
    labelNames: ['place'],
    registers: [registry],
  })
  for (const place of SHORTAGE_PLACES) shortages.inc({ place }, 0)
  return shortages
}
