/** Where the Unix socket of the admin HTTP is, for the process that serves it and for the commands that ask it. */
import type { AdminSettings } from './admin-settings.ts'

/** As interface for operators: packages and units make its directory. */
export const DEFAULT_SOCKET = '/run/mailmux/admin.sock'

/** @param resolve gives the absolute path. @returns undefined where it is off */
export function placeOfSocket(written: string | undefined, resolve: (file: string) => string): AdminSettings['socket'] {
  if (written === 'off') return undefined
  return written === undefined
    ? { file: DEFAULT_SOCKET, isDefault: true }
    : { file: resolve(written), isDefault: false }
}
