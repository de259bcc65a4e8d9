/** Which changes of the configuration a running mailmux cannot take over. Pure. */
import type { DirectorySettings, ListenerSettings, RedisSettings, Settings } from './settings.ts'

/** @returns what stays as it was until a restart, in the words of the configuration file */
export function findRestartNeeds(before: Settings, after: Settings): string[] {
  const parts = {
    workers: ({ workers }: Settings) => workers,
    listeners: (settings: Settings) =>
      settings.listeners.map(({ name, protocol, listen }) => ({ name, protocol, listen })),
    directory: ({ directory }: Settings) => revealed(directory),
    admin: ({ admin }: Settings) => admin && { ...admin, token: admin.token?.reveal() },
    shutdown_grace: ({ limits }: Settings) => limits.shutdownGraceMs,
  }
  return Object.entries(parts).flatMap(([name, part]) =>
    JSON.stringify(part(before)) === JSON.stringify(part(after)) ? [] : [name],
  )
}

/** With its secrets as they are, since two that differ would print alike. For comparing only. */
function revealed(directory: DirectorySettings): object {
  switch (directory.kind) {
    case 'static':
      return directory
    case 'redis':
      return revealedRedis(directory)
    case 'auth_http':
      return { ...directory, headers: [...directory.headers].map(([name, value]) => [name, value.reveal()]) }
  }
}

/**
 * The new settings with the listeners that are bound: one that was renamed, moved or taken out goes on as it was until the restart,
 * rather than hang up on its clients; one that is new waits for it.
 */
export function withBoundListeners(bound: readonly ListenerSettings[], settings: Settings): Settings {
  const place = ({ name, protocol, listen }: ListenerSettings): string => JSON.stringify({ name, protocol, listen })
  const wanted = new Map(settings.listeners.map((listener) => [place(listener), listener]))
  return { ...settings, listeners: bound.map((listener) => wanted.get(place(listener)) ?? listener) }
}

function revealedRedis({ servers, password, tls, ...rest }: RedisSettings): object {
  const certificate = tls?.clientCertificate
  return {
    ...rest,
    servers: servers.kind === 'sentinels' ? { ...servers, password: servers.password?.reveal() } : servers,
    password: password?.reveal(),
    tls: tls && { ...tls, clientCertificate: certificate && { ...certificate, key: certificate.key.reveal() } },
  }
}
