/** Which changes of the configuration a running mailmux cannot take over. Pure. */
import type { Settings } from './settings.ts'

/** @returns what stays as it was until a restart, in the words of the configuration file */
export function findRestartNeeds(before: Settings, after: Settings): string[] {
  const parts = {
    // One worker is part of this process; several have processes of their own.
    workers: ({ workers }: Settings) => workers === 1,
    user: ({ privileges }: Settings) => privileges,
  }
  return Object.entries(parts).flatMap(([name, part]) =>
    JSON.stringify(part(before)) === JSON.stringify(part(after)) ? [] : [name],
  )
}

/**
 * The new settings as far as a running mailmux can take them over: one worker does not become several, and the user stays.
 */
export function withBoundParts(inForce: Settings, settings: Settings): Settings {
  const isSamePool = (settings.workers === 1) === (inForce.workers === 1)
  return {
    ...settings,
    workers: isSamePool ? settings.workers : inForce.workers,
    privileges: inForce.privileges,
  }
}
