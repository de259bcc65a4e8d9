/** Limits the invalid commands on one connection before login, in every protocol. */
import { MuxError } from '../errors.ts'

/**
 * @param max how many invalid commands the connection may have
 * @returns counts one that the client has been told; throws MuxError `client-too-many-bad-commands` at the last
 */
export function limitBadCommands(max: number): () => void {
  let count = 0
  return () => {
    count++
    if (count >= max) throw new MuxError('client-too-many-bad-commands', `${count} invalid commands before login`)
  }
}
