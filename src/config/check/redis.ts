/** Rules of `directory.redis` that schema/redis.ts cannot declare, and the files that they name. */
import { isAddress } from '../../net/address.ts'
import { readPair, type FileReader } from './files.ts'
import { readCertificates, readSecret } from './pem.ts'
import type { Path, Reporter } from '../schema/read.ts'
import type { CertificateSettings, Endpoint } from '../settings.ts'
import { isWritten, type Source } from '../yaml/source.ts'
import type { Secret } from '../../secret.ts'
import type { Redis } from './drafts.ts'

/** What was read for Redis. `ca` is PEM text. */
export type RedisFiles = {
  password: Secret | undefined
  sentinelPassword: Secret | undefined
  ca: string | undefined
  clientCertificate: CertificateSettings | undefined
  /** absolute; written, and not read with the configuration */
  snapshotFile: string | undefined
}

const AT: Path = ['directory', 'redis']

export function checkRedis(redis: Redis | undefined, source: Source, report: Reporter): void {
  if (redis === undefined) return
  const has = (...path: string[]): boolean => isWritten(source, [...AT, ...path])
  checkCredentials(redis, has, report)
  checkServerName(redis, report)
  checkTwice(redis.sentinels?.addresses, [...AT, 'sentinels', 'addresses'], report)
  checkTwice(redis.nodes, [...AT, 'nodes'], report)
}

type Has = (...path: string[]) => boolean

function checkCredentials({ url }: Redis, has: Has, report: Reporter): void {
  if (has('username') && url?.username !== undefined)
    report.error([...AT, 'username'], 'does nothing: the url has a user of its own', 'key')
  const named = has('username') ? 'username' : url?.username === undefined ? undefined : 'url'
  // A login needs a password: without one, the name would not be sent, and Redis would use the user `default`.
  if (named !== undefined && !has('password_file') && url?.password === undefined)
    report.error([...AT, named], 'a user needs a password: add password_file', named === 'url' ? 'value' : 'key')
}

function checkServerName({ tls }: Redis, report: Reporter): void {
  // RFC 6066 3: a server name is a name.
  if (tls?.server_name !== undefined && isAddress(tls.server_name))
    report.error([...AT, 'tls', 'server_name'], 'a name is needed here, not an address')
}

function checkTwice(endpoints: readonly (Endpoint | undefined)[] | undefined, at: Path, report: Reporter): void {
  const seen = new Set<string>()
  endpoints?.forEach((endpoint, index) => {
    if (endpoint === undefined) return
    const place = JSON.stringify([endpoint.host.toLowerCase(), endpoint.port])
    if (seen.has(place)) report.error([...at, index], 'stands here twice')
    seen.add(place)
  })
}

export function readRedisFiles(
  redis: Redis | undefined,
  readFile: FileReader,
  now: Date,
  report: Reporter,
): RedisFiles {
  const secret = (name: string | undefined, at: Path): Secret | undefined =>
    name === undefined ? undefined : readFile(name, readSecret, at, report)
  const { ca_file: ca, client_cert: cert, client_key: key } = redis?.tls ?? {}
  const tls: Path = [...AT, 'tls']
  return {
    password: secret(redis?.password_file, [...AT, 'password_file']),
    sentinelPassword: secret(redis?.sentinels?.password_file, [...AT, 'sentinels', 'password_file']),
    ca: ca === undefined ? undefined : readFile(ca, readCertificates, [...tls, 'ca_file'], report)?.pem,
    clientCertificate: readPair(
      { cert, key },
      { cert: [...tls, 'client_cert'], key: [...tls, 'client_key'] },
      { readFile, now, report },
    ),
    snapshotFile: redis?.snapshot_file === undefined ? undefined : readFile.resolve(redis.snapshot_file),
  }
}
