/** What differs between two configurations, for operators: in the words of the files, and without a secret. */
import { setImmediate } from 'node:timers/promises'
import { hostPort } from '../net/address.ts'
import { isSameValue } from './same-value.ts'
import type { ListenerSettings, RoutingSettings, Settings } from './settings.ts'

/** One difference. `keys`: which settings of a listener, a back end or a section differ. `text`: all of it as a sentence. */
export type Change = {
  what: string
  name?: string
  change: 'added' | 'removed' | 'changed'
  keys?: string[]
  text: string
}

/** What a change of `workers` between 1 and several means for clients. */
const NEW_GENERATION = 'a new generation takes over, and running sessions end at safe points within shutdown_grace'

/** Names that are compared in one turn of the event loop: about 3 ms. */
const NAMES_A_TURN = 1000

/** Settings whose key in the file has another name. */
const KEYS: Readonly<Record<string, string>> = {
  clientUser: 'client_cert_user',
  clientCa: 'client_ca_file',
  capability: 'imap_capability',
  ca: 'ca_file',
  waitMs: 'queue_timeout',
  queue: 'queue_size',
  token: 'token_file',
  tokens: 'tokens_file',
  password: 'password_file',
  ticketSecret: 'ticket_secret_file',
  clientCertificate: 'client_cert',
  aliases: 'domain_aliases',
  ports: 'port',
}

/** `loginTimeoutMs` stands in the file as `login_timeout`. */
function keyOf(name: string): string {
  return KEYS[name] ?? name.replace(/(Ms|Bytes)$/, '').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/**
 * A million users take a second, so it returns to the event loop regularly.
 * @returns the differences in the order of the files
 */
export async function findChanges(before: Settings, after: Settings): Promise<Change[]> {
  const { files: _, listeners, routing, ...rest } = after
  const sections = Object.keys(rest).flatMap((name) => {
    const key = name as keyof typeof rest
    return compareSection(keyOf(name), before[key], after[key])
  })
  return [
    ...compareNamed('listener', byName(before.listeners), byName(listeners), describeListener),
    ...sections,
    ...(await compareRouting(before.routing, routing)),
  ]
}

async function compareRouting(before: RoutingSettings, after: RoutingSettings): Promise<Change[]> {
  const { backends, users, domains, ...rest } = after
  const others = Object.keys(rest).flatMap((name) => {
    const key = name as keyof typeof rest
    if (key === 'placement') return isSamePlacement(before, after) ? [] : [changed('placement')]
    return isSameValue(before[key], after[key]) ? [] : [changed(keyOf(name))]
  })
  return [
    ...compareNamed('back end', before.backends, backends),
    ...(await compareRoutes('users', before.users, users)),
    ...(await compareRoutes('domains', before.domains, domains)),
    ...others,
  ]
}

/** By the names of the back ends: each pool holds their settings, which have their own lines. */
function isSamePlacement(before: RoutingSettings, after: RoutingSettings): boolean {
  const names = ({ placement: { domains, others } }: RoutingSettings): unknown => ({
    domains: new Map([...domains].map(([domain, pool]) => [domain, pool?.map(({ name }) => name)])),
    others: others?.map(({ name }) => name),
  })
  return isSameValue(names(before), names(after))
}

function changed(what: string, keys?: string[], detail?: string): Change {
  return { what, change: 'changed', ...(keys && { keys }), text: `${what}: ${detail ?? keys?.join(', ') ?? 'changed'}` }
}

function compareSection(what: string, before: unknown, after: unknown): Change[] {
  if (isSameValue(before, after)) return []
  if (before === undefined) return [{ what, change: 'added', text: `${what}: added` }]
  if (after === undefined) return [{ what, change: 'removed', text: `${what}: removed` }]
  if (what === 'workers' && typeof before === 'number' && typeof after === 'number' && Math.min(before, after) === 1)
    return [changed(what, undefined, `${before} becomes ${after}: ${NEW_GENERATION}`)]
  if (!isObject(before) || !isObject(after))
    return [changed(what, undefined, `${JSON.stringify(before)} becomes ${JSON.stringify(after)}`)]
  const [old, next] = [kindOf(before), kindOf(after)]
  return [
    old === next ? changed(what, differingKeys(before, after)) : changed(what, undefined, `${old} becomes ${next}`),
  ]
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Which of several forms a section has, as `directory` and `reload` do. */
function kindOf(section: object): string {
  return 'kind' in section ? String(section.kind) : ''
}

function differingKeys(before: object, after: object): string[] {
  const [old, next] = [
    new Map<string, unknown>(Object.entries(before)),
    new Map<string, unknown>(Object.entries(after)),
  ]
  const names = [...new Set([...old.keys(), ...next.keys()])]
  return names.filter((name) => !isSameValue(old.get(name), next.get(name))).map(keyOf)
}

function byName(listeners: readonly ListenerSettings[]): Map<string, ListenerSettings> {
  return new Map(listeners.map((listener) => [listener.name, listener]))
}

function describeListener({ listen }: ListenerSettings, before?: ListenerSettings): string {
  const places = (all: ListenerSettings['listen']): string =>
    all.map(({ host, port }) => hostPort(host, port)).join(' and ')
  if (!before) return `listens on ${places(listen)}`
  return isSameValue(before.listen, listen) ? '' : `listens on ${places(listen)} in place of ${places(before.listen)}`
}

function compareNamed<T extends object>(
  what: string,
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  describe: (value: T, before?: T) => string = () => '',
): Change[] {
  const changes: Change[] = []
  for (const name of before.keys())
    if (!after.has(name)) changes.push({ what, name, change: 'removed', text: `${what} ${name}: removed` })
  for (const [name, value] of after) {
    const old = before.get(name)
    if (!old) {
      const text = ['added', describe(value)].filter((part) => part !== '').join(', ')
      changes.push({ what, name, change: 'added', text: `${what} ${name}: ${text}` })
    } else if (!isSameValue(old, value)) {
      const keys = differingKeys(old, value)
      const detail = describe(value, old)
      const others = detail === '' ? keys : keys.filter((key) => key !== 'listen')
      const text = [detail, ...others].filter((part) => part !== '').join(', ')
      changes.push({ what, name, change: 'changed', keys, text: `${what} ${name}: ${text}` })
    }
  }
  return changes
}

type Routes = {
  readonly size: number
  keys(): Iterable<string>
  get(name: string): unknown
  has(name: string): boolean
}

async function compareRoutes(what: string, before: Routes, after: Routes): Promise<Change[]> {
  if (before === after) return []
  let [removed, added, moved, done] = [0, 0, 0, 0]
  const pause = async (): Promise<void> => {
    if (++done % NAMES_A_TURN === 0) await setImmediate()
  }
  for (const name of before.keys()) {
    if (!after.has(name)) removed++
    await pause()
  }
  for (const name of after.keys()) {
    if (!before.has(name)) added++
    else if (!isSameValue(before.get(name), after.get(name))) moved++
    await pause()
  }
  const counts = [
    [added, 'added'],
    [removed, 'removed'],
    [moved, 'with another route'],
  ] as const
  const told = counts.filter(([count]) => count > 0).map(([count, how]) => `${count} ${how}`)
  return told.length === 0 ? [] : [changed(what, undefined, told.join(', '))]
}
