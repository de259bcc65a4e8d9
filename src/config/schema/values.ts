/** The small languages inside the YAML: durations, sizes, ports, addresses, names. Pure; each gives a value or says what is wrong. */
import os from 'node:os'
import { familyOf, isAddress, isUnspecified, shortestAddress, splitHostPort, unbracketHost } from '../../net/address.ts'
import { readDuration } from '../../duration.ts'
import { canBeLogin, MAX_USER_OCTETS, PLAIN_RULES, readDomain, readUser, type UserCase } from '../../user-name.ts'
import { Secret } from '../../secret.ts'
import type { Endpoint, ListenAddress } from '../settings.ts'

export type Parsed<T> = { value: T } | { wrong: string }

const SIZE_UNITS = new Map([
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
])

/** `500ms`, `30s`, `10m`, `24h`, as milliseconds. Whole numbers only: `1500ms`, not `1.5s`. */
export function parseDuration(text: string): Parsed<number> {
  const value = readDuration(text)
  return value === undefined ? { wrong: 'not a duration: write it as 500ms, 30s, 10m or 24h' } : { value }
}

/** `512B`, `64KiB`, `1MiB`, as bytes. `KB` is refused: half of the world reads it as 1000 and half as 1024. */
export function parseSize(text: string): Parsed<number> {
  // Fifteen digits stay exact in a double; what is larger is out of every bound anyway.
  const match = /^(?<digits>\d{1,15})(?<unit>[A-Za-z]+)$/u.exec(text)
  const unit = SIZE_UNITS.get(match?.groups?.unit ?? '')
  if (unit === undefined) return { wrong: 'not a size: write it as 512B, 64KiB or 1MiB' }
  return { value: Number(match?.groups?.digits) * unit }
}

/** 1 to 65535. Port 0 would mean "any free one" to the system, which no client could find. */
export function parsePort(value: string | number): Parsed<number> {
  const text = String(value)
  const port = Number(text)
  if (!/^\d{1,9}$/u.test(text) || port < 1 || port > 65535)
    return { wrong: 'not a port: a whole number from 1 to 65535' }
  return { value: port }
}

/**
 * `0.0.0.0:143`, `[::]:143`, or `143` alone for every address of both families.
 * The two addresses of a bare port are optional: a machine may lack IPv6, or IPv4.
 */
export function parseListen(value: string | number): Parsed<ListenAddress[]> {
  const text = String(value)
  if (/^[\d.]*$/u.test(text) && !text.includes('.')) {
    const port = parsePort(text)
    if ('wrong' in port) return port
    return { value: ['0.0.0.0', '::'].map((host) => ({ host, port: port.value, optional: true })) }
  }
  const parts = splitHostPort(text)
  if (!parts) {
    return { wrong: 'not an address with a port: write 0.0.0.0:143, [::]:143, or 143 alone for every address' }
  }
  const family = parts.isBracketed ? 6 : 4
  if (familyOf(parts.host) !== family) return { wrong: `"${parts.host}" is not an IPv${family} address` }
  const port = parsePort(parts.port)
  if ('wrong' in port) return port
  return { value: [{ host: shortestAddress(parts.host), port: port.value, optional: false }] }
}

/** More than any machine for this has cores to give. */
const MOST_WORKERS = 64

/** `auto`, or how many. */
export function parseWorkers(value: string | number): Parsed<number | 'auto'> {
  if (value === 'auto') return { value }
  const count = /^\d{1,3}$/u.test(String(value)) ? Number(value) : 0
  if (count >= 1 && count <= MOST_WORKERS) return { value: count }
  return { wrong: `must be auto, or a whole number from 1 to ${MOST_WORKERS}` }
}

/** How many that are on this machine: one for each core with `auto`. */
export function countWorkers(workers: number | 'auto'): number {
  return workers === 'auto' ? Math.min(MOST_WORKERS, os.availableParallelism()) : workers
}

const LABEL = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?'
const HOST_NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*\\.?$`, 'u')

/** A host name or an address to connect to. Digits and dots that are no address are a mistyped address, never a name. */
export function parseHost(text: string): Parsed<string> {
  if (isUnspecified(text)) return { wrong: `no place to connect to: ${text} means every address of this machine` }
  if (isAddress(text)) return { value: shortestAddress(text) }
  if (/^\[.*\]$/u.test(text)) return { wrong: 'write the address without brackets; the port is a key of its own' }
  if (/^[\d.]*$/u.test(text)) return { wrong: 'not an IPv4 address' }
  if (/:\d+$/u.test(text)) return { wrong: 'write the host alone; the port is a key of its own (imap: 143)' }
  if (text.length > 253 || !HOST_NAME.test(text)) return { wrong: 'not a host name and not an address' }
  return { value: text }
}

/** A mail domain, lower case, as it is spelled: a login may carry a domain in either of its two forms (RFC 5890 2.3.2.1). */
export function parseDomain(text: string): Parsed<string> {
  const domain = readDomain(text)
  return domain ? { value: domain.spelled } : { wrong: 'not a domain: write it as example.org' }
}

/** The one spelling of a mail domain by which two are compared; of what is no domain, the text in lower case. */
export function keyOfDomain(text: string): string {
  return readDomain(text)?.key ?? text.toLowerCase()
}

/** The name of a listener or of a back end: it becomes a metric's label and part of a Redis key. */
export function parseName(text: string): Parsed<string> {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/u.test(text)) return { value: text }
  return { wrong: 'not a name: letters, digits, ".", "_" and "-", at most 64, beginning with a letter or digit' }
}

/** useradd(8): what a user or group of the system is called. A number is refused, since a name has the groups that belong to it. */
export function parseAccount(text: string): Parsed<string> {
  if (text === 'root') return { wrong: 'root has all rights: name another one' }
  if (/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/u.test(text)) return { value: text }
  return { wrong: 'not the name of a user or group of this machine' }
}

/**
 * A user as written in the routing file, under the name that its logins are looked up by. A name that could never arrive in a login
 * would be a route that does nothing, and is refused.
 */
export function normalizeUser(text: string, userCase: UserCase): Parsed<{ user: string; domain: string | undefined }> {
  if (Buffer.byteLength(text) > MAX_USER_OCTETS)
    return { wrong: `longer than the ${MAX_USER_OCTETS} octets that a login may name` }
  const name = readUser(text, { ...PLAIN_RULES, userCase })
  if (!name) return { wrong: "not a user name: letters, digits and . _ + - = & ' ~ # ! $, as in alice@example.org" }
  return { value: { user: name.user, domain: name.domain === undefined ? undefined : keyOfDomain(name.domain) } }
}

/** A user's name at a back end, which the router refuses where it could be no user's name. */
export function parseLogin(text: string): Parsed<string> {
  if (canBeLogin(text)) return { value: text }
  return { wrong: "has characters that are not allowed: a login has letters, digits and . _ + - = & ' ~ # ! $" }
}

/** `http://` or `https://`, as a whole: credentials belong into `headers`, and a fragment is never sent. */
export function parseAuthUrl(text: string): Parsed<string> {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/u.test(url.protocol) || !/^https?:\/\//iu.test(text)) {
    return {
      wrong: 'not the URL of an auth server: write it as http://127.0.0.1:9000/auth or https://auth.example.org/auth',
    }
  }
  if (isUnspecified(unbracketHost(url.hostname)))
    return { wrong: `no place to connect to: ${url.hostname} means every address of this machine` }
  if (url.username !== '' || url.password !== '') return { wrong: 'credentials belong into `headers`, from a file' }
  return url.hash === '' ? { value: url.href } : { wrong: 'a "#" is never sent to a server' }
}

/** `redis.example.org:6379`, `10.0.0.1:6379`, `[::1]:6379`: where to connect to. A host alone is refused, as kinds of server differ in their port. */
export function parseEndpoint(text: string): Parsed<Endpoint> {
  const parts = splitHostPort(text)
  if (!parts) return { wrong: 'not a host with a port: write it as redis.example.org:6379' }
  if (parts.isBracketed && familyOf(parts.host) !== 6) return { wrong: `"${parts.host}" is not an IPv6 address` }
  const host = parseHost(parts.host)
  if ('wrong' in host) return host
  const port = parsePort(parts.port)
  return 'wrong' in port ? port : { value: { host: host.value, port: port.value } }
}

/** What a Redis URL says. */
export type RedisUrl = Endpoint & {
  database: number
  tls: boolean
  username: string | undefined
  password: Secret | undefined
}

const REDIS_PORT = 6379

/** `redis://` or `rediss://` with host and port, and optionally a user, a password and a database number. No message repeats any of it. */
export function parseRedisUrl(text: string): Parsed<RedisUrl> {
  const url = URL.parse(text)
  const hostname = unbracketHost(url?.hostname ?? '')
  const host = parseHost(hostname)
  if ('wrong' in host && isUnspecified(hostname)) return host
  const port = parsePort(url?.port === '' ? REDIS_PORT : (url?.port ?? ''))
  if (url === null || !/^rediss?:$/u.test(url.protocol) || 'wrong' in host || 'wrong' in port) {
    return { wrong: 'not the URL of a Redis: write it as redis://host:6379 or rediss://host:6379' }
  }
  if (!/^(?:\/\d{0,5})?$/u.test(url.pathname))
    return { wrong: 'after the host there can be a database number only, as in redis://host:6379/1' }
  // Other programs read options from a query; here they would silently do nothing.
  if (url.search !== '' || url.hash !== '') return { wrong: 'a "?" or "#" has no meaning in the URL of a Redis' }
  const [username, password] = [decode(url.username), decode(url.password)]
  if (username === undefined || password === undefined)
    return {
      wrong: 'a "%" in the user or the password of a Redis URL stands for two hexadecimal digits: write it as %25',
    }
  return {
    value: {
      host: host.value,
      port: port.value,
      database: Number(url.pathname.slice(1)),
      tls: url.protocol === 'rediss:',
      username: username === '' ? undefined : username,
      password: password === '' ? undefined : new Secret(password),
    },
  }
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
