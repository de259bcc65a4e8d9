/**
 * What a running mailmux knows of its back ends. Outlives worlds: a reload keeps what is known of every back end that stands where it
 * stood, and an older world's logins still find those that it was born with.
 */
import { toEpochMs as toEpoch } from '../clock.ts'
import type { BackendSettings, ProtocolName, RoutingSettings } from '../config/settings.ts'
import type { NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { keyOf } from './endpoint/addresses.ts'
import { createLiveBackend, type BackendFacts, type Change, type LiveBackend } from './live-backend.ts'
import { createLookup, type Lookup } from './endpoint/lookup.ts'
import { createSystemLookup } from './endpoint/system-lookup.ts'

export type LiveBackends = {
  /** Brings what is known into line with the back ends of a new world. */
  reconcile(routing: Pick<RoutingSettings, 'backends' | 'resolvers'>): void
  /** By name, as the newest world has it. */
  get(name: string): LiveBackend | undefined
  /** The one for these very settings, which an older world may still hold although they have changed. */
  of(settings: BackendSettings): LiveBackend
  describe(): BackendFacts[]
  close(): void
}

export type LiveBackendsParts = {
  log: Log
  metrics: Pick<Metrics, 'backendIsUp' | 'backendAddresses'>
  noteShortage?: NoteShortage
  /** a monotonic clock */
  nowMs?: () => number
  /** a moment of that clock in milliseconds of the epoch, for people */
  toEpochMs?: (ms: number) => number
  hasStalled?: () => boolean
  lookupBy?: (resolvers: readonly string[]) => Lookup
  /** No address of a back end is left for a protocol. */
  onLost?: (name: string, protocol: ProtocolName) => void
  /** The first address is there again, so long after the last was lost. */
  onRecovered?: (name: string, lostForMs: number) => void
}

export function createLiveBackends({
  log,
  metrics,
  noteShortage = () => undefined,
  nowMs = () => performance.now(),
  toEpochMs = toEpoch,
  hasStalled = () => false,
  onLost = () => undefined,
  lookupBy = createLookups(),
  onRecovered = () => undefined,
}: LiveBackendsParts): LiveBackends {
  const current = new Map<string, { where: string; live: LiveBackend }>()
  const bySettings = new WeakMap<BackendSettings, LiveBackend>()

  function count(backend: LiveBackend, protocol: ProtocolName): { up: number; down: number } {
    const endpoints = backend.addresses(protocol)
    const up = endpoints.filter(({ health }) => health.up).length
    return { up, down: endpoints.length - up }
  }

  function measure(backend: LiveBackend, protocols: readonly ProtocolName[]): void {
    if (current.get(backend.name)?.live !== backend) return // a connection of an older world has come across it
    metrics.backendIsUp(backend.name, backend.isUp())
    for (const protocol of protocols) metrics.backendAddresses(backend.name, protocol, count(backend, protocol))
  }

  function onChange(backend: LiveBackend, { endpoint, before, detail }: Change): void {
    const { protocol, health, address } = endpoint
    const fields = { backend: backend.name, protocol, address: keyOf(address), host: address.host }
    measure(backend, [protocol])
    const others = backend.addresses(protocol).filter((one) => one !== endpoint)
    const othersUp = others.filter((one) => one.health.up).length
    if (before.up && !health.up) {
      log.warn({ ...fields, code: health.lastError, detail, othersUp }, 'back end down')
      if (othersUp === 0) onLost(backend.name, protocol)
    } else if (!before.up && health.up) {
      log.info({ ...fields, downMs: Math.round(health.sinceMs - before.sinceMs) }, 'back end up')
      const lostMs = Math.max(before.sinceMs, ...others.map((one) => one.health.sinceMs))
      if (othersUp === 0) onRecovered(backend.name, health.sinceMs - lostMs)
    }
    if (health.fault !== undefined && health.fault !== before.fault)
      log.error({ ...fields, code: health.fault, detail }, 'back end misconfigured')
    if (health.fault === undefined && before.fault !== undefined)
      log.info({ ...fields, code: before.fault }, 'back end no longer misconfigured')
  }

  function onMoved(backend: LiveBackend, protocol: ProtocolName, isFirst: boolean): void {
    measure(backend, [protocol])
    if (isFirst) return
    const addresses = backend.addresses(protocol).map(({ address }) => keyOf(address))
    log.info({ backend: backend.name, protocol, addresses }, 'back end addresses changed')
  }

  return {
    reconcile({ backends, resolvers }) {
      const lookup = lookupBy(resolvers)
      for (const [name, { live }] of current) {
        if (backends.has(name)) continue
        live.close()
        current.delete(name)
      }
      for (const [name, settings] of backends) {
        const before = current.get(name)
        const where = JSON.stringify([settings.hosts, settings.ports, settings.srv, resolvers])
        let live = before?.live
        if (live && before?.where === where) live.adopt(settings)
        else {
          live?.close()
          live = createLiveBackend({
            settings,
            lookup,
            log,
            noteShortage,
            nowMs,
            toEpochMs,
            hasStalled,
            onChange,
            onMoved,
          })
        }
        current.set(name, { where, live })
        bySettings.set(settings, live)
        measure(live, Object.keys(settings.srv ?? settings.ports) as ProtocolName[])
      }
    },
    get: (name) => current.get(name)?.live,
    of(settings) {
      const live = bySettings.get(settings)
      if (!live) throw new Error(`back end ${settings.name} is of no world`)
      return live
    },
    describe: () => [...current.values()].map(({ live }) => live.describe()),
    close() {
      for (const { live } of current.values()) live.close()
    },
  }
}

/** The look-ups of all worlds share one turn at the system's resolver: those of an older world may still be under way. */
function createLookups(): (resolvers: readonly string[]) => Lookup {
  const system = createSystemLookup()
  return (resolvers) => createLookup(resolvers, system)
}
