/** A hint for the operator that a back end and mailmux may differ in the use of the PROXY header. The symptoms are an invalid greeting or a hang. */
import type { BackendSettings } from '../config/settings.ts'
import { MuxError, type ErrorCode } from '../errors.ts'

/** What a back end does that waits for a header, or for the end of what it takes for a command. */
const SILENT = new Set<ErrorCode>(['backend-timeout', 'backend-closed', 'backend-tls-failed'])
/** What it says to a header that it takes for commands. */
const PUZZLED = new Set<ErrorCode>(['backend-garbage', 'backend-bye'])

/**
 * Adds a question to an error where the PROXY header can be the cause. A back end that waits for one does not greet. One that expects
 * none greets, and has answered no command when it breaks off.
 * @param progress how far the attempt had come
 */
export function withProxyHint(
  error: unknown,
  sent: BackendSettings['proxyProtocol'],
  progress: { connected: boolean; heard: number },
): unknown {
  if (!(error instanceof MuxError) || !progress.connected) return error
  const { code, message } = error
  const { heard } = progress
  if (sent === 'none' && SILENT.has(code) && heard === 0)
    return new MuxError(code, `${message} (does the back end expect a PROXY header?)`, error)
  if (sent !== 'none' && (PUZZLED.has(code) || (SILENT.has(code) && heard <= 1)))
    return new MuxError(code, `${message} (does the back end expect no PROXY header?)`, error)
  return error
}
