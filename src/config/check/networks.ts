/** The files of networks, and what is wrong with the lists of networks that limit clients. */
import { isUnspecified, parseAddress } from '../../net/address.ts'
import { createIpSet } from '../../net/ip-set.ts'
import type { Path, Reporter } from '../schema/read.ts'
import { parseNetwork } from '../schema/wire-values.ts'
import type { Parsed } from '../schema/values.ts'
import type { ListenAddress } from '../settings.ts'
import type { Main } from './drafts.ts'
import type { FileReader } from './files.ts'
import { readText } from './pem.ts'

/** The networks of `allow_file` and `deny_file`, of one place. */
export type NetworkFiles = { allow: readonly string[] | undefined; deny: readonly string[] | undefined }

/** Of `limits`, and of listeners by their index. */
export type AccessFiles = { defaults: NetworkFiles; listeners: ReadonlyMap<number, NetworkFiles> }

export function readAccessFiles(main: Main | undefined, readFile: FileReader, report: Reporter): AccessFiles {
  const read = (
    limits: { allow_file?: string | undefined; deny_file?: string | undefined } | undefined,
    at: Path,
  ): NetworkFiles => ({
    allow:
      limits?.allow_file === undefined
        ? undefined
        : readFile(limits.allow_file, readAllowed, [...at, 'allow_file'], report),
    deny: limits?.deny_file === undefined ? undefined : readDenied(limits.deny_file, [...at, 'deny_file']),
  })
  function readDenied(file: string, at: Path): string[] | undefined {
    const networks = readFile(file, readNetworks, at, report)
    if (networks) warnOfDenied(networks, at, main?.admin?.listen, report)
    return networks
  }
  const listeners = (main?.listeners ?? []).map(
    (listener, index) => [index, read(listener?.limits, ['listeners', index, 'limits'])] as const,
  )
  return { defaults: read(main?.limits, ['limits']), listeners: new Map(listeners) }
}

/** One network on each line. Reports the first line that is wrong, and how many more there are. */
export function readNetworks(file: string): Parsed<string[]> {
  const read = readText(file)
  return 'wrong' in read ? read : parseNetworks(read.value)
}

export function parseNetworks(text: string): Parsed<string[]> {
  const networks: string[] = []
  let wrong: string | undefined
  let others = 0
  for (const [index, line] of text.split('\n').entries()) {
    const written = line.replace(/#.*/su, '').trim()
    if (written === '') continue
    const parsed = parseNetwork(written)
    if ('value' in parsed) networks.push(parsed.value)
    else if (wrong === undefined) wrong = `has "${written.slice(0, 60)}" in line ${index + 1}: ${parsed.wrong}`
    else others++
  }
  if (wrong === undefined) return { value: networks }
  return { wrong: others === 0 ? wrong : `${wrong} (and ${others} more lines)` }
}

/** An empty list is more often a file that was cut off than the wish that no client connects. */
function readAllowed(file: string): Parsed<string[]> {
  const read = readNetworks(file)
  return 'value' in read && read.value.length === 0 ? { wrong: 'has no network: no client could connect' } : read
}

/** As `checkNetworks` warns of those that are written in place. */
function warnOfDenied(networks: readonly string[], at: Path, admin: ListenAddress | undefined, report: Reporter): void {
  const everyAddress = networks.find((network) => network.endsWith('/0'))
  if (everyAddress !== undefined)
    report.warn(at, `the file has ${everyAddress}: no client with an address of this family can connect`)
  const own = ownAddress(admin)
  if (own === undefined || !createIpSet(networks).has(own)) return // a file may have many networks
  const network = networks.find((one) => !one.endsWith('/0') && createIpSet([one]).has(own))
  if (network !== undefined)
    report.warn(at, `the file has ${network}, and so ${own}, the address of admin: a login from there is rejected too`)
}

/** The address from which an operator on this machine connects. */
function ownAddress(admin: ListenAddress | undefined): string | undefined {
  return admin && (isUnspecified(admin.host) ? '127.0.0.1' : parseAddress(admin.host)?.address)
}

type List = readonly (string | undefined)[] | undefined
type Lists = { allow?: List; deny?: List; exempt?: List }

/** Warns of networks without effect, and of those that shut out the operator. */
export function checkNetworks(
  { allow, deny, exempt }: Lists,
  at: Path,
  admin: ListenAddress | undefined,
  report: Reporter,
): void {
  const known = deny?.filter((network) => network !== undefined) ?? []
  const denied = createIpSet(known)
  for (const [key, networks] of Object.entries({ allow, exempt })) {
    networks?.forEach((network, index) => {
      if (network !== undefined && isInside(network, known))
        report.warn([...at, key, index], 'does nothing: a network of deny has it, and deny wins')
    })
  }
  if (allow?.length === 0)
    report.error([...at, 'allow'], 'an empty list lets no client connect; leave the key out for all')
  deny?.forEach((network, index) => {
    if (network?.endsWith('/0') === true)
      report.warn([...at, 'deny', index], 'no client with an address of this family can connect')
  })
  const own = ownAddress(admin)
  if (own === undefined || !denied.has(own)) return
  deny?.forEach((network, index) => {
    if (network !== undefined && !network.endsWith('/0') && createIpSet([network]).has(own))
      report.warn([...at, 'deny', index], `has ${own}, the address of admin: a login from there is rejected too`)
  })
}

/** @param networks well-formed */
function isInside(network: string, networks: readonly string[]): boolean {
  const bits = Number(network.split('/')[1])
  return networks.some((outer) => {
    const [address = ''] = network.split('/')
    return Number(outer.split('/')[1]) <= bits && createIpSet([outer]).has(address)
  })
}
