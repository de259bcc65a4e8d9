/** Opens the directory that the configuration names. */
import type { DirectorySettings } from '../config/settings.ts'
import type { Log } from '../log.ts'
import { openAuthHttpDirectory } from './auth-http/auth-http-directory.ts'
import { openCachedDirectory } from './remembered/cached-directory.ts'
import type { Directory, DirectoryMonitor } from './directory.ts'
import type { OtherWorkers } from './remembered/stand-ins.ts'

/**
 * @param others undefined if there is one worker
 * @returns undefined if routes are only in the routing file
 */
export function openDirectory(
  settings: DirectorySettings,
  log: Log,
  monitor: DirectoryMonitor,
  others?: OtherWorkers,
): Directory | undefined {
  switch (settings.kind) {
    case 'static':
      return undefined
    case 'redis':
      return openCachedDirectory(settings, log, monitor, others)
    case 'auth_http':
      return openAuthHttpDirectory(settings, log, monitor.directoryIsUp)
  }
}
