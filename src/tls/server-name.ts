/** Server names: their syntax, and the rule that a name matches (certificates, pass-through routes, default domains). Pure. */
import { isAddress } from '../net/address.ts'

/** Letters, digits and hyphens (RFC 1123 2.1), and the underscore, which occurs in internal names. */
const HOST_NAME = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/i

/**
 * The name in lower case, without a dot at its end, which some clients send in spite of RFC 6066 3. Undefined if it is not a host name, or
 * is an address.
 */
export function parseServerName(text: string): string | undefined {
  const name = withoutDot(text)
  const isName = name.length <= 253 && HOST_NAME.test(name) && !isAddress(name)
  return isName ? name.toLowerCase() : undefined
}

/**
 * An exact rule has precedence, then `*.rest`, which matches exactly one label before `rest` (RFC 6125 6.4.3), then `*`, which matches all.
 * @param rules keyed by lower-case patterns
 * @param name as the client sent it, in upper or lower case; undefined if it sent none, which only `*` matches
 */
export function findServerName<T>(rules: ReadonlyMap<string, T>, name: string | undefined): T | undefined {
  // A client that sends the text `*.example.test` must not select the pattern of that name.
  if (name === undefined || name.includes('*')) return rules.get('*')
  const wanted = withoutDot(name).toLowerCase()
  const dot = wanted.indexOf('.')
  const wildcard = dot > 0 ? rules.get(`*${wanted.slice(dot)}`) : undefined
  return rules.get(wanted) ?? wildcard ?? rules.get('*')
}

/** In DNS, a dot at the end marks a fully qualified name; without the dot it is the same name. */
function withoutDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name
}
