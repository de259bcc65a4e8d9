/** Rules between the keys of mailmux.yaml. A check ignores values that are already found wrong, so that each mistake is reported once. */
import os from 'node:os'
import { PROTOCOL_NAMES, specOf } from '../../protocol/registry.ts'
import { createReporter, type Path, type Reporter } from '../schema/read.ts'
import type { Problems } from '../yaml/problems.ts'
import type { Listener, Main, MainDraft } from './drafts.ts'
import type { ListenAddress } from '../settings.ts'
import { isWritten } from '../yaml/source.ts'
import { checkAuthHttp } from './auth-http.ts'
import { checkDelivery } from './delivery.ts'
import { checkListener } from './listener.ts'
import { checkRedis } from './redis.ts'
import { checkClientLimits } from './client-limits.ts'
import { listenAddresses, overlaps } from './addresses.ts'
import { checkRules } from './rules.ts'
import { mainSchema } from '../schema/schema.ts'

export function checkMain(draft: MainDraft, problems: Problems): void {
  const { value: main } = draft
  if (main === undefined) return
  const report = createReporter(draft, problems)
  const facts = {
    hostname: main.hostname ?? os.hostname(),
    minVersion: main.tls?.min_version,
    checksPasswords: main.directory?.auth_http?.send_password === true,
  }
  const names = new Map<string, number>()
  main.listeners?.forEach((listener, index) => {
    if (listener === undefined) return
    const path = ['listeners', index] as const
    checkListener(listener, facts, { source: draft.source, path, report })
    if (listener.name === undefined) return
    const first = names.get(listener.name)
    if (first !== undefined) report.error([...path, 'name'], `listener ${first + 1} has this name already`)
    else names.set(listener.name, index)
  })
  checkRules(mainSchema, draft, report)
  checkOverlaps(main, report)
  checkTls(draft, main, report)
  checkDirectory(draft, main, report)
  checkLimits(main, report)
  checkClientLimits(main, report)
  checkDelivery(main, report)
}

type Claim = { address: ListenAddress; owner: string; path: Path }

/** Every address that mailmux will bind, with its place. */
function claims(main: Main): Claim[] {
  return (main.listeners ?? []).flatMap((listener, index) => {
    if (listener === undefined) return []
    const owner = `listener "${listener.name ?? String(index + 1)}"`
    const path: Path = ['listeners', index, 'listen']
    const { listen } = listener
    // Written as a list, each address has a place of its own; a single one or a default stands for the whole key.
    if (!Array.isArray(listen?.[0])) {
      return (listenAddresses(listener) ?? []).map((address) => ({ address, owner, path }))
    }
    return listen.flatMap((one, item) =>
      [one ?? []].flat().map((address) => ({ address, owner, path: [...path, item] })),
    )
  })
}

function checkOverlaps(main: Main, report: Reporter): void {
  // By port, so that the work stays linear; within a port there is a handful of addresses.
  const byPort = new Map<number, Claim[]>()
  const all = claims(main)
  if (main.admin?.listen !== undefined) {
    all.push({ address: main.admin.listen, owner: 'admin', path: ['admin', 'listen'] })
  }
  if (main.delivery?.listen !== undefined) {
    all.push({ address: main.delivery.listen, owner: 'delivery', path: ['delivery', 'listen'] })
  }
  for (const claim of all) {
    const { host, port } = claim.address
    const others = byPort.get(port) ?? []
    const other = others.find(({ address }) => overlaps(address.host, host))
    if (other !== undefined) report.error(claim.path, `port ${port} of this address is taken by ${other.owner} already`)
    byPort.set(port, [...others, claim])
  }
}

function checkTls(draft: MainDraft, main: Main, report: Reporter): void {
  const listeners = main.listeners
  const certificates = main.tls?.certificates
  if (listeners === undefined || certificates === undefined) return
  if (certificates.length === 0) {
    listeners.forEach((listener, index) => {
      if (!mayTerminate(listener) || listener?.tls === undefined) return
      report.error(['listeners', index, 'tls'], `tls: ${listener.tls} needs a certificate in tls.certificates`)
    })
  }
  if (!listeners.some(mayTerminate) && isWritten(draft.source, ['tls'])) {
    report.error(['tls'], 'does nothing: no listener has tls: starttls or implicit', 'key')
  }
}

/** Whether TLS is decrypted here, as far as is known. */
function mayTerminate(listener: Listener | undefined): boolean {
  return listener?.tls !== 'none' && listener?.tls !== 'passthrough'
}

function checkDirectory({ source }: MainDraft, main: Main, report: Reporter): void {
  const { directory } = main
  const [, second] = (['redis', 'auth_http', 'static'] as const).filter((kind) => directory?.[kind] !== undefined)
  if (second !== undefined)
    report.error(['directory', second], 'there can be one directory: redis, auth_http or static', 'key')
  checkRedis(directory?.redis, source, report)
  checkAuthHttp(directory?.auth_http, report)
}

/** What the RFCs ask of an idle limit. Less is a choice that an operator may make, knowing it. */
function checkLimits(main: Main, report: Reporter): void {
  for (const protocol of PROTOCOL_NAMES) {
    const { idle } = specOf(protocol)
    const key = `idle_${protocol}` as const
    const ms = main.limits?.[key]
    if (ms !== undefined && ms < idle.leastMs) report.warn(['limits', key], idle.shortWarning)
  }
}
