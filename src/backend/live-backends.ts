/**
 * What a running mailmux knows of its back ends. Outlives worlds: a reload keeps what is known of every back end that stands where it stood.
 */
import type { BackendSettings, ProtocolName } from '../config/settings.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Backends } from './backends.ts'
import { createLiveBackend, type BackendFacts, type Change, type LiveBackend } from './live-backend.ts'

export type LiveBackends = {
  /** Brings what is known into line with the back ends of a new world. */
  reconcile(backends: Backends): void
  /** By name, as the newest world has it. */
  get(name: string): LiveBackend | undefined
  /** The one for these very settings, which an older world may still hold although they have changed. */
  of(settings: BackendSettings): LiveBackend
  describe(): BackendFacts[]
}

export type LiveBackendsParts = {
  log: Log
  metrics: Pick<Metrics, 'backendIsUp'>
  /** milliseconds of the epoch */
  nowMs?: () => number
  /** No address of a back end is left for a protocol. */
  onLost?: (name: string, protocol: ProtocolName) => void
  /** The first address is there again, so long after the last was lost. */
  onRecovered?: (name: string, lostForMs: number) => void
}

export function createLiveBackends({
  log,
  metrics,
  nowMs = Date.now,
  onLost = () => undefined,
  onRecovered = () => undefined,
}: LiveBackendsParts): LiveBackends {
  const current = new Map<string, { key: string; live: LiveBackend }>()
  const bySettings = new WeakMap<BackendSettings, LiveBackend>()

  function onChange(backend: LiveBackend, { place, before, detail }: Change): void {
    const { protocol, health, address } = place
    const where = { backend: backend.name, protocol, address: `${address.ip} ${address.port}` }
    metrics.backendIsUp(backend.name, backend.isUp())
    const others = backend.addresses(protocol).filter((one) => one !== place)
    const othersUp = others.filter((one) => one.health.up).length
    if (before.up && !health.up) {
      log.warn({ ...where, code: health.lastError, detail, othersUp }, 'back end down')
      if (othersUp === 0) onLost(backend.name, protocol)
    } else if (!before.up && health.up) {
      log.info({ ...where, downMs: health.sinceMs - before.sinceMs }, 'back end up')
      const lostMs = Math.max(before.sinceMs, ...others.map((one) => one.health.sinceMs))
      if (othersUp === 0) onRecovered(backend.name, health.sinceMs - lostMs)
    }
    if (health.fault !== undefined && health.fault !== before.fault)
      log.error({ ...where, code: health.fault, detail }, 'back end misconfigured')
  }

  return {
    reconcile(backends) {
      for (const name of current.keys()) if (!backends.has(name)) current.delete(name)
      for (const [name, { settings }] of backends) {
        const key = JSON.stringify([settings.hosts, settings.ports])
        const before = current.get(name)
        const live = before?.key === key ? before.live : createLiveBackend({ settings, nowMs, onChange })
        current.set(name, { key, live })
        bySettings.set(settings, live)
        metrics.backendIsUp(name, live.isUp())
      }
    },
    get: (name) => current.get(name)?.live,
    of(settings) {
      let live = bySettings.get(settings)
      if (!live) {
        live = createLiveBackend({ settings, nowMs, onChange })
        bySettings.set(settings, live)
      }
      return live
    },
    describe: () => [...current.values()].map(({ live }) => live.describe()),
  }
}
