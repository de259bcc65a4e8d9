/** Which changes of the configuration a running mailmux cannot take over. Pure. */
import type { Settings } from './settings.ts'

/** @returns what stays as it was until a restart, in the words of the configuration file */
export function findRestartNeeds(before: Settings, after: Settings): string[] {
  const parts = {
    listeners: (settings: Settings) =>
      settings.listeners.map(({ name, protocol, listen }) => ({ name, protocol, listen })),
    directory: ({ directory }: Settings) =>
      directory.kind === 'static' ? directory : { ...directory, url: directory.url.reveal() },
    admin: ({ admin }: Settings) => admin && { ...admin, token: admin.token?.reveal() },
    log: ({ log }: Settings) => log,
  }
  return Object.entries(parts).flatMap(([name, part]) =>
    JSON.stringify(part(before)) === JSON.stringify(part(after)) ? [] : [name],
  )
}
