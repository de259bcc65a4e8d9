/** Server names: what may be one, and which of the rules it meets (certificates, pass-through routes, default domains). Pure. */
import { isAddress } from '../net/address.ts'

/** Letters, digits and hyphens (RFC 1123 2.1), and the underscores that names inside companies have. */
const HOST_NAME = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/i

/**
 * The name in lower case, without the dot that some clients put at its end in spite of RFC 6066 3; undefined where it is no host name, or
 * is an address.
 */
export function parseServerName(text: string): string | undefined {
  const name = withoutDot(text)
  const isName = name.length <= 253 && HOST_NAME.test(name) && !isAddress(name)
  return isName ? name.toLowerCase() : undefined
}

/**
 * The exact rule wins, then `*.rest` for exactly one label in front of `rest` (RFC 6125 6.4.3), then `*` for everybody else.
 * @param rules keyed by lower-case patterns
 * @param name as the client sent it, in any case; undefined where it sent none, which only `*` meets
 */
export function findServerName<T>(rules: ReadonlyMap<string, T>, name: string | undefined): T | undefined {
  // A client that asks for `*.example.test` by that very name must not be taken for the pattern.
  if (name === undefined || name.includes('*')) return rules.get('*')
  const wanted = withoutDot(name).toLowerCase()
  const dot = wanted.indexOf('.')
  const wildcard = dot > 0 ? rules.get(`*${wanted.slice(dot)}`) : undefined
  return rules.get(wanted) ?? wildcard ?? rules.get('*')
}

/** DNS writes a name that is not to be completed with a dot at its end; it is the same name. */
function withoutDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name
}
