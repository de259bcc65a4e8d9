/** What a client is told when its session ends with an error. Pure. */
import type { MuxError } from '../errors.ts'
import type { Goodbye } from '../protocol/protocol.ts'

/** @returns undefined if the client can be told nothing. */
export function goodbyeFor({ code }: MuxError): Goodbye | undefined {
  switch (code) {
    case 'client-login-timeout':
      return 'login-timeout'
    case 'client-line-too-long':
    case 'client-literal-too-large':
      return 'line-too-long'
    case 'client-too-many-bad-commands':
      return 'too-many-bad-commands'
    case 'client-refused':
    case 'client-too-many-wrong-passwords':
      return 'refused'
    case 'backend-paused':
      return 'paused'
    case 'backend-drained':
      return 'drained'
    case 'user-on-hold':
      return 'on-hold'
    case 'shutting-down':
      return 'shutting-down'
    case 'moved':
    case 'drained':
    case 'rebalanced':
    case 'kicked':
    case 'disabled':
    case 'too-many-connections':
      return code
    case 'internal':
      return 'internal'
    default: // the client has closed, or has done something that allows no answer in clear
      return undefined
  }
}
