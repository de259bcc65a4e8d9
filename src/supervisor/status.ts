/** The state of the instance as a whole, for the status page: put together from what its modules know. */
import { X509Certificate } from 'node:crypto'
import { hostname } from 'node:os'
import type { ConfigAnswer } from '../admin/configuration-answers.ts'
import type { StatusAnswer } from '../admin/status-answers.ts'
import type { StatusParts } from '../admin/status-routes.ts'
import { toEpochMs } from '../clock.ts'
import type { CertificateSettings, DirectorySettings, Settings } from '../config/settings.ts'
import { EVERY_MS } from '../metrics/history.ts'
import type { Reading } from '../metrics/readings.ts'
import { hostPort } from '../net/address.ts'
import { runtimeName } from '../runtime.ts'
import { version } from '../version.ts'
import { createSampler, type Sampler } from './sampler.ts'
import type { Site } from './site.ts'
import type { WorkerPool } from './worker-pool.ts'

export type StatusSources = {
  pool: Pick<WorkerPool, 'backends' | 'states'>
  site: Pick<Site, 'instances'>
  settings: () => Settings
  config: () => ConfigAnswer
  generation: number
  movesRunning: () => number
  /** undefined: ready */
  notReady: () => string | undefined
}

export type Status = {
  answers: StatusParts
  start: () => void
  stop: () => void
}

/** @param read the wanted series of all processes */
export function createStatus(read: () => Promise<Reading[]>, sources: StatusSources): Status {
  const { pool, site, settings, config, generation, movesRunning, notReady } = sources
  const sampler = createSampler(read, () => performance.now())
  const certificates = createCertificateNames()
  const startedMs = toEpochMs(0)
  const answers: StatusParts = {
    async status() {
      const nowMs = toEpochMs(performance.now()) // before all that is asked: no part of the answer is older
      const { hostname: name, listeners, tls, directory } = settings()
      const [sampled, backends, instances] = await Promise.all([
        sampler.now(),
        pool.backends().catch(() => undefined),
        site.instances().catch(() => undefined),
      ])
      const { sums } = sampled
      const rates = sampler.rates(sampled)
      const why = notReady()
      return {
        nowMs,
        sampledMs: Math.min(nowMs, toEpochMs(sampled.atMs)),
        hostname: name,
        host: hostname(),
        version,
        runtime: runtimeName,
        generation,
        startedMs,
        ...(why !== undefined && { notReady: why }),
        workers: pool.states(),
        ...(backends && {
          backends: backends.map((one) => ({
            ...one,
            rate: rates.get(one.name) ?? { loginsPerSecond: 0 },
          })),
        }),
        connections: { open: sums.connections, max: sums.connectionsMax },
        logins: sums.logins,
        rejected: toCounts(sums.rejected),
        limited: toCounts(sums.limited),
        listeners: listeners.map(({ name, protocol, listen, tls }) => ({
          name,
          protocol,
          listen: listen.map(({ host, port }) => hostPort(host, port)),
          tls,
        })),
        certificates: tls.certificates.map(certificates),
        directory: describeDirectory(directory, sums, sampler),
        config: config(),
        ...(instances && { instances }),
        movesRunning: movesRunning(),
        logLinesDropped: sums.logLinesDropped,
        shortages: sums.shortages,
      }
    },
    history: (since) => ({
      nowMs: toEpochMs(performance.now()),
      everyMs: EVERY_MS,
      samples: sampler.history(since).map((sample) => ({ ...sample, atMs: toEpochMs(sample.atMs) })),
    }),
  }
  return { answers, start: sampler.start, stop: sampler.stop }
}

/** The largest first. */
function toCounts(counts: ReadonlyMap<string, number>): { name: string; count: number }[] {
  return [...counts].map(([name, count]) => ({ name, count })).sort((a, b) => b.count - a.count)
}

function describeDirectory(
  directory: DirectorySettings,
  { directoryUp: up, directoryDataLost: dataLost }: { directoryUp: boolean; directoryDataLost: boolean },
  { directoryLastUpMs }: Pick<Sampler, 'directoryLastUpMs'>,
): StatusAnswer['directory'] {
  const lastUpMs = directoryLastUpMs()
  return {
    kind: directory.kind,
    up,
    dataLost,
    ...(lastUpMs !== undefined && { lastUpMs: toEpochMs(lastUpMs) }),
    ...(directory.kind === 'redis' && { maxStaleMs: directory.cache.maxStaleMs }),
  }
}

/** A certificate is parsed once: a reload makes other settings. */
function createCertificateNames(): (settings: CertificateSettings) => StatusAnswer['certificates'][number] {
  const known = new WeakMap<CertificateSettings, StatusAnswer['certificates'][number]>()
  return (settings) => {
    const before = known.get(settings)
    if (before) return before
    const { validTo, subjectAltName = '' } = new X509Certificate(settings.cert)
    const names = [...subjectAltName.matchAll(/(?:DNS|IP Address):([^,\s]+)/gu)].map(([, name = '']) => name)
    const answer = { file: settings.certFile, notAfterMs: Date.parse(validTo), names }
    known.set(settings, answer)
    return answer
  }
}
