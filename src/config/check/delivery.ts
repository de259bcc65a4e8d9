/** Rules of `delivery` of the main file, and between it and the back ends. */
import type { Main, MainDraft, RoutingDraft } from './drafts.ts'
import { isLoopback } from './addresses.ts'
import type { Reporter } from '../schema/read.ts'
import { isWritten } from '../yaml/source.ts'

/** The name of its port beside those of the listeners, in the log and in messages. */
const NAME = 'delivery'

export function checkDelivery({ delivery, directory, listeners }: Main, report: Reporter): void {
  if (delivery === undefined) return
  const { listen, clients } = delivery
  if (listen !== undefined && clients?.length === 0 && !isLoopback(listen.host)) {
    report.error(
      ['delivery', 'listen'],
      'an address that is not loopback needs delivery.clients: replies tell who exists',
    )
  }
  if (directory?.auth_http !== undefined) {
    const why = 'does nothing with directory.auth_http, which decides about logins, and knows no recipient of mail'
    report.error(['delivery'], why, 'key')
  }
  listeners?.forEach((listener, index) => {
    if (listener?.name !== NAME) return
    report.error(['listeners', index, 'name'], 'is the name of the port of `delivery`; choose another')
  })
}

/** A back end that is not understood may have the port. */
export function checkDeliveryPorts({ source, value: routing }: RoutingDraft, main: MainDraft, report: Reporter): void {
  if (main.value?.delivery === undefined) return
  const backends = Object.entries(routing?.backends ?? {})
  if (backends.some(([, one]) => one === undefined)) return
  const without = backends.map(([name]) => name).filter((name) => !isWritten(source, ['backends', name, 'lmtp']))
  if (backends.length > 0 && without.length === backends.length) {
    report.error(['backends'], 'no back end has a port for lmtp: `delivery` of the main file defers all mail', 'key')
    return
  }
  for (const name of without) {
    report.warn(['backends', name], 'has no port for lmtp: `delivery` defers the mail of its users', 'key')
  }
}
