/**
 * Replies of a socketmap (socketmap_table(5)): what the router says of a recipient, in the words of Postfix. Pure.
 * NOTFOUND lets Postfix go on to its next table and its default transport, which may deliver elsewhere. For every user that has a route,
 * or may have one, the reply is TEMP instead: the mail waits in the queue of Postfix.
 */
import type { BackendSettings } from '../config/settings.ts'
import type { MuxError } from '../errors.ts'
import type { DeliveryOutcome } from '../metrics/delivery-counter.ts'
import { hostPort } from '../net/address.ts'
import type { Route } from '../routing/router.ts'

export type Reply = { outcome: DeliveryOutcome; text: string }

/** A key that is no user, or a user without a route. The space is part of the form. */
export const NOT_FOUND: Reply = { outcome: 'not-found', text: 'NOTFOUND ' }

/** The name of a map that mailmux does not have. Postfix logs the text, and defers the mail. */
export const UNKNOWN_MAP: Reply = { outcome: 'unknown-map', text: 'PERM the only map here is named delivery' }

export function replyToRoute(route: Route): Reply {
  switch (route.kind) {
    case 'backend':
      // What is remembered from before an outage may be older than a hold.
      if (route.source === 'stale' || route.source === 'snapshot') return UNAVAILABLE
      return replyToBackend(route.backend)
    case 'hold':
      return { outcome: 'hold', text: 'TEMP user is being moved' }
    case 'disabled':
      return { outcome: 'disabled', text: 'TEMP user is disabled' }
    case 'refused':
      return { outcome: 'error', text: 'TEMP the directory refuses the lookup' }
    case 'unknown':
      return NOT_FOUND
  }
}

export function replyToError({ code }: Pick<MuxError, 'code'>): Reply {
  if (code === 'directory-unavailable') return UNAVAILABLE
  if (code === 'route-invalid') return { outcome: 'route-invalid', text: 'TEMP the route of the user is invalid' }
  return { outcome: 'error', text: 'TEMP internal error' }
}

const UNAVAILABLE: Reply = { outcome: 'unavailable', text: 'TEMP directory unavailable' }

/**
 * The next hop of transport(5), with an IPv6 address in brackets. Postfix 3.5 and later tries several in their order; a back end with one
 * host has one.
 */
function replyToBackend({ hosts, lmtp }: BackendSettings): Reply {
  const [first, ...others] = hosts
  if (lmtp === undefined || first === undefined)
    return { outcome: 'no-port', text: 'TEMP the back end of the user has no lmtp port' }
  const places = [first, ...others].map((host) => `inet:${hostPort(host, lmtp)}`)
  return { outcome: 'found', text: `OK lmtp:${places.join(', ')}` }
}
