/** What a running mailmux knows of one back end: its addresses, how each of them does, and which of them a login is to try. */
import type { BackendSettings, ProtocolName } from '../config/settings.ts'
import { MuxError, type ErrorCode } from '../errors.ts'
import { addressesOf, type Address } from './addresses.ts'
import { afterFailure, afterFault, afterSuccess, newHealth, type Failure, type Health, type Proof } from './health.ts'
import { createWay, type Way } from './way.ts'

/** One address for one protocol, and how it does. */
export type Place = { readonly address: Address; readonly protocol: ProtocolName; health: Health }

/** What is seen of one address from outside: plain facts, for the API and for people. */
export type PlaceFacts = {
  protocol: ProtocolName
  host: string
  ip: string
  port: number
  source: Address['source']
  state: 'up' | 'down' | 'misconfigured'
  /** since when, in milliseconds of the epoch */
  sinceMs: number
  lastError: ErrorCode | undefined
}

export type BackendFacts = { name: string; up: boolean; addresses: PlaceFacts[] }

export type LiveBackend = {
  readonly name: string
  /** Whether somebody new may be sent there: by this protocol, or by each that it serves. */
  isUp(protocol?: ProtocolName): boolean
  /** The places of a protocol in the order in which to try them, those that are down last. Empty where it does not serve it. */
  addresses(protocol: ProtocolName): readonly Place[]
  /**
   * The way of one login through them. It must be left again.
   * @throws MuxError `backend-no-port`; `backend-down` where all are down and somebody is trying already
   */
  enter(protocol: ProtocolName): Way
  succeeded(place: Place, what: { by: 'check' | 'login'; proof: Proof }): void
  failed(place: Place, failure: Failure, detail: string): void
  describe(): BackendFacts
}

/** What is told about a place when its state changes. */
export type Change = { place: Place; before: Health; detail: string | undefined }

export type LiveBackendParts = {
  settings: BackendSettings
  nowMs: () => number
  onChange: (backend: LiveBackend, change: Change) => void
}

/** Answers of a back end that is alive and wrongly set up: neither another attempt nor another address mends them. */
const FAULTS: ReadonlySet<ErrorCode> = new Set([
  'backend-certificate',
  'backend-no-starttls',
  'backend-bytes-before-tls',
] satisfies ErrorCode[])

const PROTOCOLS = ['imap', 'pop3'] as const satisfies readonly ProtocolName[]

const NOWHERE: readonly Place[] = []

export function createLiveBackend({ settings, nowMs, onChange }: LiveBackendParts): LiveBackend {
  const { name } = settings
  const rules = { rise: 2, fall: 3 }
  const places = new Map<ProtocolName, readonly Place[]>()
  /** the same, those that are down last; forgotten when one changes */
  const ordered = new Map<ProtocolName, readonly Place[]>()
  /** protocols of which every place is down, and a login is trying whether that still holds */
  const trials = new Set<ProtocolName>()

  for (const protocol of PROTOCOLS) {
    const found = addressesOf(settings, protocol)
    if (found)
      places.set(
        protocol,
        found.map((address): Place => ({ address, protocol, health: newHealth(nowMs()) })),
      )
  }

  const isUsable = ({ health }: Place): boolean => health.up && health.fault === undefined
  const all = (): Place[] => [...places.values()].flat()

  function change(place: Place, after: Health, detail?: string): void {
    const before = place.health
    if (after === before) return
    place.health = after
    if (before.up === after.up && before.fault === after.fault) return
    ordered.delete(place.protocol)
    onChange(backend, { place, before, detail })
  }

  const backend: LiveBackend = {
    name,
    isUp(protocol) {
      if (protocol) return backend.addresses(protocol).some(isUsable)
      return [...places.values()].every((some) => some.some(isUsable))
    },
    addresses(protocol) {
      let list = ordered.get(protocol)
      if (!list) {
        const some = places.get(protocol) ?? NOWHERE
        list = [...some.filter(({ health }) => health.up), ...some.filter(({ health }) => !health.up)]
        ordered.set(protocol, list)
      }
      return list
    },
    enter(protocol) {
      const [first] = backend.addresses(protocol)
      if (!first) throw new MuxError('backend-no-port', `back end ${name} has no ${protocol} port`)
      const isTrial = !first.health.up
      if (isTrial && trials.has(protocol)) {
        throw new MuxError('backend-down', `back end ${name} is down for ${protocol}: ${first.health.lastError ?? ''}`)
      }
      if (isTrial) trials.add(protocol)
      return createWay(() => backend.addresses(protocol), {
        isTrial,
        leave: () => {
          if (isTrial) trials.delete(protocol)
        },
      })
    },
    succeeded(place, what) {
      change(place, afterSuccess(place.health, what, rules, nowMs()))
    },
    failed(place, failure, detail) {
      const after = FAULTS.has(failure.code)
        ? afterFault(place.health, failure.code)
        : afterFailure(place.health, failure, rules, nowMs())
      change(place, after, detail)
    },
    describe: () => ({
      name,
      up: backend.isUp(),
      addresses: all().map(({ address: { host, ip, port, source }, protocol, health }) => ({
        protocol,
        host,
        ip,
        port,
        source,
        state: !health.up ? 'down' : health.fault ? 'misconfigured' : 'up',
        sinceMs: health.sinceMs,
        lastError: health.lastError,
      })),
    }),
  }
  return backend
}
