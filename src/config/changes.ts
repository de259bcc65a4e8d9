/** Which changes of the configuration a running mailmux cannot take over. Pure. */
import type { Settings } from './settings.ts'

/**
 * @param mayHandOver a new generation may take over: one worker is part of this process, and several have processes of their own
 * @returns what stays as it was until a restart, in the words of the configuration file
 */
export function findRestartNeeds(before: Settings, after: Settings, mayHandOver: boolean): string[] {
  const parts = {
    workers: ({ workers }: Settings) => mayHandOver || workers === 1,
    user: ({ privileges }: Settings) => privileges,
  }
  return Object.entries(parts).flatMap(([name, part]) =>
    JSON.stringify(part(before)) === JSON.stringify(part(after)) ? [] : [name],
  )
}

/** The new settings as far as a running mailmux can take them over. */
export function withBoundParts(inForce: Settings, settings: Settings, mayHandOver: boolean): Settings {
  const mayChange = mayHandOver || (settings.workers === 1) === (inForce.workers === 1)
  return {
    ...settings,
    workers: mayChange ? settings.workers : inForce.workers,
    privileges: inForce.privileges,
  }
}
