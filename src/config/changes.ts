/** Which changes of the configuration a running mailmux cannot take over. Pure. */
import type { DirectorySettings, RedisSettings, Settings } from './settings.ts'

/** @returns what stays as it was until a restart, in the words of the configuration file */
export function findRestartNeeds(before: Settings, after: Settings): string[] {
  const parts = {
    // One worker is part of this process; several have processes of their own.
    workers: ({ workers }: Settings) => workers === 1,
    user: ({ privileges }: Settings) => privileges,
    directory: ({ directory }: Settings) => withoutSecrets(directory),
  }
  return Object.entries(parts).flatMap(([name, part]) =>
    JSON.stringify(part(before)) === JSON.stringify(part(after)) ? [] : [name],
  )
}

/** What a running directory cannot take over. Passwords, keys and CAs count from its next connection on; that there is one must stay. */
function withoutSecrets(directory: DirectorySettings): object {
  switch (directory.kind) {
    case 'static':
      return directory
    case 'redis':
      return withoutRedisSecrets(directory)
    case 'auth_http':
      return { ...directory, headers: [...directory.headers.keys()], url: directory.url.href }
  }
}

/** @returns the new settings where they differ in secrets alone: those of another server are of no use to the one that is asked */
function withNewSecrets(inUse: DirectorySettings, next: DirectorySettings): DirectorySettings {
  return JSON.stringify(withoutSecrets(inUse)) === JSON.stringify(withoutSecrets(next)) ? next : inUse
}

/**
 * The new settings as far as a running mailmux can take them over. The directory is the one of the start, with the secrets of
 * now, and one worker does not become several.
 */
export function withBoundParts(inForce: Settings, settings: Settings): Settings {
  const isSamePool = (settings.workers === 1) === (inForce.workers === 1)
  return {
    ...settings,
    workers: isSamePool ? settings.workers : inForce.workers,
    privileges: inForce.privileges,
    directory: withNewSecrets(inForce.directory, settings.directory),
  }
}

function withoutRedisSecrets({ servers, password, tls, ...rest }: RedisSettings): object {
  const { clientCertificate, ca, ...others } = tls ?? {}
  return {
    ...rest,
    servers: servers.kind === 'sentinels' ? { ...servers, password: servers.password !== undefined } : servers,
    password: password !== undefined,
    tls: tls && { ...others, ca: ca !== undefined, clientCertificate: clientCertificate !== undefined },
  }
}
