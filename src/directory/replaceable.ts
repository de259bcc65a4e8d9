/** Which change of the settings needs another directory, and which the open one takes over. Pure. */
import { createHash } from 'node:crypto'
import type { DirectorySettings, RedisSettings } from '../config/settings.ts'

/**
 * @returns whether an open directory with the settings `before` must be replaced. It takes over passwords, keys, CAs of Redis and values of
 *   headers, which count from its next connection or question on, and how long it remembers routes.
 */
export function mustReplace(before: DirectorySettings, after: DirectorySettings): boolean {
  return JSON.stringify(fixedPart(before)) !== JSON.stringify(fixedPart(after))
}

/** Identifies the store of remembered routes: in another store the same user may have another route. Contains no credential. */
export function storeOf(settings: DirectorySettings): string {
  if (settings.kind !== 'redis') return settings.kind
  return createHash('sha256')
    .update(JSON.stringify([settings.prefix, settings.servers]))
    .digest('hex')
    .slice(0, 16)
}

function fixedPart(directory: DirectorySettings): object {
  switch (directory.kind) {
    case 'static':
      return directory
    case 'redis':
      return fixedPartOfRedis(directory)
    case 'auth_http':
      return { ...directory, headers: [...directory.headers.keys()], url: directory.url.href }
  }
}

/** That there is a password or a key must stay. */
function fixedPartOfRedis({ servers, password, tls, cache, snapshotSlot: _, ...rest }: RedisSettings): object {
  const { clientCertificate, ca, ...others } = tls ?? {}
  return {
    ...rest,
    maxEntries: cache.maxEntries,
    servers: servers.kind === 'sentinels' ? { ...servers, password: servers.password !== undefined } : servers,
    password: password !== undefined,
    tls: tls && { ...others, ca: ca !== undefined, clientCertificate: clientCertificate !== undefined },
  }
}
