/** What a running mailmux knows of one back end: its addresses, how each of them does, and which of them a login is to try. */
import type { BackendSettings, HealthSettings, ProtocolName } from '../config/settings.ts'
import { MuxError, type ErrorCode, type NoteShortage } from '../errors.ts'
import type { Log } from '../log.ts'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { addressesOf, hasNames, keyOf, NOTHING_KNOWN, type Address, type Known } from './endpoint/addresses.ts'
import {
  afterFailure,
  afterFault,
  afterSuccess,
  newHealth,
  type Failure,
  type Health,
  type Proof,
} from './health/health.ts'
import type { Lookup } from './endpoint/lookup.ts'
import { hasEquals, orderFor } from './endpoint/order.ts'
import { createCursor, type AddressCursor } from './endpoint/cursor.ts'
import type { Endpoint } from './endpoint/endpoint.ts'
import { openResolver } from './endpoint/resolver.ts'

/** What is seen of one address from outside: plain facts, for the API and for people. Times are milliseconds of the epoch. */
export type EndpointFacts = {
  protocol: ProtocolName
  host: string
  ip: string
  port: number
  source: Address['source']
  state: 'up' | 'down' | 'misconfigured'
  sinceMs: number
  lastError: ErrorCode | undefined
  /** undefined where nothing is checked */
  nextCheckMs: number | undefined
  /** when its name is looked up again; undefined for an address that the configuration has as such */
  lookedUpAgainMs: number | undefined
}

export type BackendFacts = { name: string; up: boolean; check: HealthSettings['check']; addresses: EndpointFacts[] }

export type LiveBackend = {
  readonly name: string
  /** Whether new users may be placed there: for this protocol, or for each that it serves. */
  isUp(protocol?: ProtocolName): boolean
  /** The endpoints of a protocol in the order in which this user is to try them, those that are down last. */
  addresses(protocol: ProtocolName, user?: string): readonly Endpoint[]
  /**
   * The way of one login through them, which must be left again. Waits for DNS only while no address has ever been known.
   * @throws MuxError `backend-no-port`, `local-shortage`, `backend-unreachable` where no address is known, `backend-timeout`, or `backend-down`
   * if all are down and another login is trying already
   */
  enter(protocol: ProtocolName, user: string, withinMs: number): AddressCursor | Promise<AddressCursor>
  /** Waits until its names have been looked up once. */
  located(): Promise<void>
  succeeded(endpoint: Endpoint, what: { by: 'check' | 'login'; proof: Proof }): void
  failed(endpoint: Endpoint, failure: Failure, detail: string): void
  /** Counts each address as up until the next failure. To be called when an operator sets the state `up`. */
  markUp(): void
  describe(): BackendFacts
  /** Takes over settings under which it stands where it stood. */
  adopt(settings: BackendSettings): void
  /** Looks up nothing more. What is known stays, for logins of an older world. */
  close(): void
}

/** What is told about a endpoint when its state changes. */
export type Change = { endpoint: Endpoint; before: Health; detail: string | undefined }

export type LiveBackendParts = {
  settings: BackendSettings
  lookup: Lookup
  log: Log
  noteShortage: NoteShortage
  /** a monotonic clock */
  nowMs: () => number
  /** a moment of that clock in milliseconds of the epoch */
  toEpochMs: (ms: number) => number
  /** this process has not run for seconds, so that a timeout is no failure of the back end */
  hasStalled: () => boolean
  onChange: (backend: LiveBackend, change: Change) => void
  /** other addresses are known than before */
  onMoved: (backend: LiveBackend, protocol: ProtocolName, isFirst: boolean) => void
}

/** Answers of a back end that is reachable and misconfigured: neither another attempt nor another address helps. */
const FAULTS: ReadonlySet<ErrorCode> = new Set([
  'backend-certificate',
  'backend-no-starttls',
  'backend-bytes-before-tls',
  'backend-test-user',
] satisfies ErrorCode[])

/** Time from a failed login to the next check of its address. At 0, each of many failed logins would cause a check, and a server that restarts would fail it. */
const EARLY_CHECK_MS = 1000

export function createLiveBackend({
  log,
  noteShortage,
  lookup,
  nowMs,
  toEpochMs,
  hasStalled,
  onChange,
  onMoved,
  ...parts
}: LiveBackendParts): LiveBackend {
  let { settings } = parts
  const { name } = settings
  /** by rank; nothing where the protocol is not served */
  const endpoints = new Map<ProtocolName, readonly Endpoint[]>()
  /** protocols whose endpoints are not all of different rank, so that their order depends on the user */
  const spread = new Set<ProtocolName>()
  /** protocols of which every endpoint is down, and a login is trying whether that still holds */
  const trials = new Set<ProtocolName>()

  function take(known: Known): void {
    for (const protocol of PROTOCOL_NAMES) {
      const addresses = addressesOf(settings, protocol, known)
      if (!addresses) continue
      const before = endpoints.get(protocol)
      const after = addresses.map((address): Endpoint => {
        const old = before?.find((endpoint) => keyOf(endpoint.address) === keyOf(address))
        if (old) old.address = address
        return old ?? { protocol, address, health: newHealth(nowMs()), provenMs: -Infinity, checkDueMs: 0 }
      })
      endpoints.set(protocol, after)
      if (hasEquals(addresses)) spread.add(protocol)
      else spread.delete(protocol)
      const isSame = before?.length === after.length && after.every((endpoint) => before.includes(endpoint))
      if (before && !isSame) onMoved(backend, protocol, before.length === 0)
    }
  }

  const isUsable = ({ health }: Endpoint): boolean => health.up && health.fault === undefined
  const isDown = ({ health }: Endpoint): boolean => !health.up

  function change(endpoint: Endpoint, after: Health, detail?: string): void {
    const before = endpoint.health
    if (after === before) return
    endpoint.health = after
    if (before.up !== after.up || before.fault !== after.fault) onChange(backend, { endpoint, before, detail })
  }

  /** @throws as `enter` */
  function enterKnown(protocol: ProtocolName, user: string): AddressCursor {
    const [first] = backend.addresses(protocol)
    if (!first) {
      const why = resolver?.failure() ?? 'there is none'
      const code = resolver?.lacksResources() === true ? 'local-shortage' : 'backend-unreachable'
      throw new MuxError(code, `no address of back end ${name} for ${protocol}: ${why}`)
    }
    const isTrial = isDown(first)
    if (isTrial && trials.has(protocol)) {
      throw new MuxError('backend-down', `back end ${name} is down for ${protocol}: ${first.health.lastError ?? ''}`)
    }
    if (isTrial) trials.add(protocol)
    return createCursor(() => backend.addresses(protocol, user), {
      isTrial,
      leave: () => {
        if (isTrial) trials.delete(protocol)
      },
    })
  }

  const backend: LiveBackend = {
    name,
    isUp(protocol) {
      if (protocol) return endpoints.get(protocol)?.some(isUsable) ?? false
      // A domain need not have SRV records for every protocol.
      const served = [...endpoints.values()].filter((some) => some.length > 0)
      return served.length > 0 && served.every((some) => some.some(isUsable))
    },
    addresses(protocol, user) {
      const some = endpoints.get(protocol) ?? []
      const list = user !== undefined && spread.has(protocol) ? orderFor(some, user) : some
      return list.some(isDown) ? [...list.filter((endpoint) => !isDown(endpoint)), ...list.filter(isDown)] : list
    },
    enter(protocol, user, withinMs) {
      const known = endpoints.get(protocol)
      if (!known) throw new MuxError('backend-no-port', `back end ${name} has no ${protocol} port`)
      if (known.length > 0) return enterKnown(protocol, user)
      return inTime(resolver?.refresh(), withinMs).then(() => enterKnown(protocol, user))
    },
    located: async () => resolver?.refresh(),
    succeeded(endpoint, what) {
      const { check } = settings.health
      // A connection is not much of a proof where more is asked for.
      if (what.by === 'login' && what.proof === 'connection' && check !== 'tcp' && check !== 'none') return
      if (what.by === 'login') endpoint.provenMs = nowMs()
      change(endpoint, afterSuccess(endpoint.health, what, settings.health, nowMs()))
    },
    failed(endpoint, failure, detail) {
      if (failure.code === 'backend-timeout' && hasStalled()) return
      const after = FAULTS.has(failure.code)
        ? afterFault(endpoint.health, failure.code)
        : afterFailure(endpoint.health, failure, settings.health, nowMs())
      change(endpoint, after, detail)
      // An early check shows soon whether the failure of a login was a single one.
      if (failure.by === 'login' && endpoint.health.failures > 0)
        endpoint.checkDueMs = Math.min(endpoint.checkDueMs, nowMs() + EARLY_CHECK_MS)
    },
    markUp() {
      for (const endpoint of [...endpoints.values()].flat()) {
        if (isUsable(endpoint)) continue
        change(endpoint, newHealth(nowMs()))
        endpoint.checkDueMs = nowMs() + EARLY_CHECK_MS
      }
    },
    describe: () => ({
      name,
      up: backend.isUp(),
      check: settings.health.check,
      addresses: [...endpoints.values()].flat().map((endpoint) => ({
        ...factsOf(endpoint),
        sinceMs: toEpochMs(endpoint.health.sinceMs),
        nextCheckMs: settings.health.check === 'none' ? undefined : toEpochMs(endpoint.checkDueMs),
        lookedUpAgainMs: endpoint.address.source === 'address' || !resolver ? undefined : toEpochMs(resolver.dueMs()),
      })),
    }),
    adopt(newer) {
      settings = newer
    },
    close: () => resolver?.close(),
  }

  take(NOTHING_KNOWN)
  const resolver = hasNames(settings)
    ? openResolver({ settings, lookup, log, noteShortage, nowMs, onKnown: take })
    : undefined
  return backend
}

function factsOf({ protocol, address, health }: Endpoint) {
  const { host, ip, port, source } = address
  const state = !health.up ? ('down' as const) : health.fault ? ('misconfigured' as const) : ('up' as const)
  return { protocol, host, ip, port, source, state, lastError: health.lastError }
}

/** @throws MuxError `backend-timeout` */
async function inTime(wait: Promise<void> | undefined, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new MuxError('backend-timeout', 'no answer from DNS')), ms)
  })
  try {
    await Promise.race([wait, late])
  } finally {
    clearTimeout(timer)
  }
}
