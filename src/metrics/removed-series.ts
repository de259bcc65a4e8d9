/**
 * Leaves out of a scrape what a reload has taken out of the configuration. The series stay where they are kept, in every worker: a back
 * end that comes back goes on where it was, and no counter falls. Pure.
 */
import type { ProtocolName, Settings } from '../config/settings.ts'
import type { Reading } from './readings.ts'

type Metric = Reading[number]
type Configured = { protocols: ReadonlyMap<string, ReadonlySet<string>>; certificates: ReadonlySet<string> }

/** @param settings in force. @returns a function that leaves out, of each reading, what they do not have */
export function createRemovedFilter({
  routing,
  tls,
}: Pick<Settings, 'routing' | 'tls'>): (reading: Reading) => Reading {
  const protocols = [...routing.backends].map(([name, { ports, srv }]) => {
    return [name, new Set(Object.keys(srv ?? ports) as ProtocolName[])] as const
  })
  const configured: Configured = {
    protocols: new Map(protocols),
    certificates: new Set(tls.certificates.map(({ certFile }) => certFile)),
  }
  return (reading) =>
    reading.map((metric) => {
      const values = metric.values.filter((one) => isConfigured(metric, one, configured))
      return values.length === metric.values.length ? metric : { ...metric, values }
    })
}

function isConfigured({ name }: Metric, { labels, value }: Metric['values'][number], known: Configured): boolean {
  const { backend, certificate, protocol } = labels
  if (certificate !== undefined && !known.certificates.has(String(certificate))) return false
  if (backend === undefined) return true
  const served = known.protocols.get(String(backend))
  // Sessions there go on after the reload, and count as long as there are any.
  if (!served) return name === 'mailmux_sessions' && value > 0
  return name !== 'mailmux_backend_addresses' || served.has(String(protocol))
}
