/** Where the log of a worker goes in a test that does not look at it. */
import type { LogOutput } from '../../src/log-output.ts'

export const NO_LOG_OUTPUT: LogOutput = {
  write: () => undefined,
  use: () => undefined,
  reopen: () => undefined,
  file: () => undefined,
  isTerminal: () => false,
  dropped: () => 0,
  onRecovered: () => undefined,
  flush: () => Promise.resolve(),
  flushNow: () => undefined,
}
