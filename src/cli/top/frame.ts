/** What `mailmux top` shows, of two readings of the metrics. Pure. */
import type { Sample, Samples } from './samples.ts'

export type TopBackend = {
  name: string
  /** by an operator: `up`, `drain`, `pause`, `down` */
  state: string
  isUp: boolean
  sessions: number
  loginsPerSecond: number
  bytesPerSecond: number
  /** logins in progress there */
  logins: number
  waiting: number
  /** of the logins since the reading before; undefined where there was none */
  p50Ms: number | undefined
  p99Ms: number | undefined
  /** no login took longer; Infinity: longer than the largest bucket */
  slowestMs: number | undefined
}

export type TopReason = { reason: string; perSecond: number; total: number }

export type TopFrame = {
  /** between the two readings */
  seconds: number
  logins: { accepted: number; refused: number; failed: number }
  bytes: { fromClients: number; fromBackends: number }
  connections: { open: number; max: number }
  sessions: number
  backends: TopBackend[]
  /** of logins, connections and limits; those with the most since the reading before come first */
  reasons: TopReason[]
}

/** @param before undefined: the rates are 0, as they are not known */
export function buildFrame(before: Samples | undefined, after: Samples, seconds: number): TopFrame {
  const of = (name: string): readonly Sample[] => after.get(name) ?? []
  const rates = createRates(before, after, seconds)
  const logins = (isMeant: (outcome: string) => boolean): number =>
    rates.perSecond('mailmux_logins_total', ({ outcome = '' }) => isMeant(outcome))
  const bytes = (direction: string): number =>
    rates.perSecond('mailmux_relayed_bytes_total', (labels) => labels.direction === direction)
  return {
    seconds,
    logins: {
      accepted: logins((outcome) => outcome === 'accepted'),
      refused: logins((outcome) => outcome === 'refused' || outcome === 'disabled'),
      failed: logins((outcome) => outcome === 'unavailable' || outcome === 'misconfigured'),
    },
    bytes: { fromClients: bytes('from-client'), fromBackends: bytes('from-backend') },
    connections: { open: sum(of('mailmux_connections')), max: sum(of('mailmux_connections_max')) },
    sessions: sum(of('mailmux_sessions')),
    backends: of('mailmux_backend_up').map(({ labels, value }) =>
      buildBackend(labels.backend ?? '', value === 1, of, rates),
    ),
    reasons: buildReasons(of, rates),
  }
}

type Rates = ReturnType<typeof createRates>
type IsMeant = (labels: Sample['labels']) => boolean

function createRates(before: Samples | undefined, after: Samples, seconds: number) {
  const known = new Map<string, Map<string, number>>()
  /** What was added since. A counter that is smaller now began again: a process has ended. */
  function increaseOf(name: string, { labels, value }: Sample): number {
    if (!before) return 0
    let series = known.get(name)
    if (!series) known.set(name, (series = new Map(before.get(name)?.map((one) => [keyOf(one.labels), one.value]))))
    const earlier = series.get(keyOf(labels)) ?? 0
    return value >= earlier ? value - earlier : value
  }
  return {
    increaseOf,
    perSecond(name: string, isMeant: IsMeant): number {
      const meant = (after.get(name) ?? []).filter(({ labels }) => isMeant(labels))
      const increase = meant.reduce((total, sample) => total + increaseOf(name, sample), 0)
      return seconds > 0 ? increase / seconds : 0
    },
  }
}

function keyOf(labels: Sample['labels']): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function sum(samples: readonly Sample[]): number {
  return samples.reduce((total, { value }) => total + value, 0)
}

function buildBackend(name: string, isUp: boolean, of: (name: string) => readonly Sample[], rates: Rates): TopBackend {
  const isOwn: IsMeant = ({ backend }) => backend === name
  const gauge = (metric: string): number => sum(of(metric).filter(({ labels }) => isOwn(labels)))
  const state = of('mailmux_backend_state').find(({ labels, value }) => isOwn(labels) && value > 0)?.labels.state
  return {
    name,
    state: state ?? 'up',
    isUp,
    sessions: gauge('mailmux_sessions'),
    loginsPerSecond: rates.perSecond('mailmux_login_duration_seconds_count', isOwn),
    bytesPerSecond: rates.perSecond('mailmux_relayed_bytes_total', isOwn),
    logins: gauge('mailmux_backend_logins'),
    waiting: gauge('mailmux_backend_logins_waiting'),
    ...latencies(
      of('mailmux_login_duration_seconds_bucket').filter(({ labels }) => isOwn(labels)),
      (sample) => rates.increaseOf('mailmux_login_duration_seconds_bucket', sample),
    ),
  }
}

/** The buckets of all protocols together, each with the logins that took no longer. */
function latencies(
  buckets: readonly Sample[],
  increase: (sample: Sample) => number,
): Pick<TopBackend, 'p50Ms' | 'p99Ms' | 'slowestMs'> {
  const counts = new Map<number, number>()
  for (const bucket of buckets) {
    const { le = '' } = bucket.labels
    const limit = le === '+Inf' ? Infinity : Number(le)
    counts.set(limit, (counts.get(limit) ?? 0) + increase(bucket))
  }
  const limits = [...counts].sort(([a], [b]) => a - b)
  const total = limits.at(-1)?.[1] ?? 0
  if (total === 0) return { p50Ms: undefined, p99Ms: undefined, slowestMs: undefined }
  const quantile = (share: number): number =>
    1000 * (limits.find(([, count]) => count >= share * total)?.[0] ?? Infinity)
  return { p50Ms: quantile(0.5), p99Ms: quantile(0.99), slowestMs: quantile(1) }
}

function buildReasons(of: (name: string) => readonly Sample[], rates: Rates): TopReason[] {
  const reasons = new Map<string, TopReason>()
  const add = (metric: string, labelOf: (labels: Sample['labels']) => string | undefined): void => {
    for (const sample of of(metric)) {
      const reason = labelOf(sample.labels)
      if (reason === undefined || sample.value === 0) continue
      const known = reasons.get(reason) ?? { reason, perSecond: 0, total: 0 }
      known.total += sample.value
      known.perSecond += rates.perSecond(metric, (labels) => labels === sample.labels)
      reasons.set(reason, known)
    }
  }
  add('mailmux_logins_total', ({ outcome = '' }) => (outcome === 'accepted' ? undefined : `login ${outcome}`))
  add('mailmux_connections_rejected_total', ({ reason = '' }) => `connection ${reason}`)
  add('mailmux_limits_hit_total', ({ limit = '' }) => `limit ${limit}`)
  return [...reasons.values()].sort((a, b) => b.perSecond - a.perSecond || b.total - a.total)
}
