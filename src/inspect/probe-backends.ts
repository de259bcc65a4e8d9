/** Looks up the names of each back end, and checks each address as the health check does, without a login. */
import { addressesOf, hasNames, keyOf, lookUp, NOTHING_KNOWN, type Address } from '../backend/endpoint/addresses.ts'
import { buildBackends, type Backend } from '../backend/backends.ts'
import { newHealth } from '../backend/health/health.ts'
import { createLookup, type Lookup } from '../backend/endpoint/lookup.ts'
import type { Probe } from '../backend/health/prober.ts'
import type { HealthSettings, ProtocolName, RoutingSettings } from '../config/settings.ts'
import { asMuxError, isShortage, MuxError } from '../errors.ts'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { probeBackend } from '../login/probe-backend.ts'
import { error, groupOf, inTime, warning, type Finding, type Probed, type Told } from './findings.ts'

/** With `LOOK_MS` it makes 9 seconds for the slowest back end. */
const LOOKUP_MS = 4000
/** `health.timeout` counts where it is less. */
const LOOK_MS = 5000

/** @param lookup for the tests */
export async function probeBackends(
  { backends, resolvers }: Pick<RoutingSettings, 'backends' | 'resolvers'>,
  lookup: Lookup = createLookup(resolvers),
): Promise<Probed> {
  const built = [...buildBackends(backends).values()]
  const checked = (await Promise.all(built.map((backend) => checkBackend(backend, lookup)))).flat()
  const groups = ['look-up', ...PROTOCOL_NAMES].flatMap((kind) => {
    const results = checked.filter((one) => one.kind === kind)
    const group = kind === 'look-up' ? 'names of back ends' : `back ends, ${kind}`
    return results.length === 0 ? [] : [groupOf(group, results)]
  })
  return { findings: checked.flatMap(({ told }) => told), notes: [], groups }
}

/** One look-up, or one address for one protocol. */
type Checked = { kind: ProtocolName | 'look-up'; name: string; told: Finding[] }

async function checkBackend(backend: Backend, lookup: Lookup): Promise<Checked[]> {
  const { settings } = backend
  const { name } = settings
  const at = (told: Told, ...more: string[]): Finding => ({
    ...told,
    which: 'routing',
    path: ['backends', name, ...more],
  })
  const { known, failures } = await locateBackend(backend, lookup)
  const source = settings.srv ? 'srv' : 'host'
  const unknown = failures.map(({ name: host, cause }) =>
    isShortage(cause)
      ? at(warning(`back end ${name} cannot be probed: local-shortage: look-up of ${host}: ${cause}`), source)
      : at(error(`back end ${name}: backend-unreachable: ${host} cannot be looked up: ${cause}`), source),
  )
  const looks = PROTOCOL_NAMES.flatMap((protocol): Promise<Checked>[] => {
    const addresses = addressesOf(settings, protocol, known)
    if (addresses?.length === 0 && failures.length === 0) {
      const told = [at(error(`back end ${name}, ${protocol}: backend-unreachable: there is no address`))]
      return [Promise.resolve({ kind: protocol, name, told })]
    }
    return (addresses ?? []).map(async (address) => {
      const told = await probeAddress(backend, protocol, address)
      return { kind: protocol, name: `${name} at ${keyOf(address)}`, told: told ? [at(told)] : [] }
    })
  })
  const lookedUp: Checked[] = hasNames(settings) ? [{ kind: 'look-up', name, told: unknown }] : []
  return [...lookedUp, ...(await Promise.all(looks))]
}

/** @returns what the names lead to, and those that lead nowhere */
async function locateBackend({ settings }: Backend, lookup: Lookup): ReturnType<typeof lookUp> {
  if (!hasNames(settings)) return { known: NOTHING_KNOWN, ttlMs: 0, failures: [] }
  try {
    return await inTime(LOOKUP_MS, lookUp(settings, lookup, NOTHING_KNOWN), () => new Error('late'))
  } catch {
    const names = settings.srv ? Object.values(settings.srv) : settings.hosts
    const failures = [{ name: names.join(', '), cause: `no answer from DNS within ${LOOKUP_MS} ms` }]
    return { known: NOTHING_KNOWN, ttlMs: 0, failures }
  }
}

/** @returns undefined where the address works */
async function probeAddress(backend: Backend, protocol: ProtocolName, address: Address): Promise<Told | undefined> {
  const { name, health } = backend.settings
  const ms = Math.min(health.timeoutMs, LOOK_MS)
  const giveUp = new AbortController()
  const late = new MuxError('backend-timeout', `no answer to a check within ${ms} ms`)
  const timer = setTimeout(() => giveUp.abort(late), ms)
  const endpoint = { protocol, address, health: newHealth(0), provenMs: -Infinity, checkDueMs: 0 }
  try {
    await probeBackend(backend, endpoint, probeFor(health), giveUp.signal)
    return undefined
  } catch (thrown) {
    const { code, message } = asMuxError(thrown)
    const text = `${code}: ${message}`
    // The probe did not reach the back end, so the result does not concern it.
    if (code === 'local-shortage') return warning(`back end ${name}, ${protocol}, cannot be probed: ${text}`)
    return error(`back end ${name}, ${protocol} at ${keyOf(address)}: ${text}`)
  } finally {
    clearTimeout(timer)
  }
}

/** Without a login: a test user that is refused may be locked out. `none` leaves out the regular checks; here one was asked for. */
function probeFor({ check }: HealthSettings): Probe {
  return check === 'login' || check === 'none' ? 'greeting' : check
}
