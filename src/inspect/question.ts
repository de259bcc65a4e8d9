/** The hypothetical login that `explain` and the login test examine. Omitted fields have the most likely values. */
import type { ListenerSettings, ProtocolName } from '../config/settings.ts'
import { isAddress, isUnspecified } from '../net/address.ts'

export type Question = {
  /** as typed into a mail client */
  user: string
  protocol?: ProtocolName | undefined
  listener?: string | undefined
  /** of TLS, as the client asks for it */
  serverName?: string | undefined
  /** of mailmux, that the client comes to */
  address?: string | undefined
}

/** A question without gaps. `address` stays open where a client may come to any. */
export type Imagined = {
  user: string
  listener: ListenerSettings
  serverName: string | undefined
  address: string | undefined
}

/** @returns `wrong` for a question that this configuration has no answer to, in words */
export function imagine(question: Question, listeners: readonly ListenerSettings[]): Imagined | { wrong: string } {
  const listener = findListener(question, listeners)
  if ('wrong' in listener) return listener
  return {
    user: question.user,
    listener,
    serverName: question.serverName?.toLowerCase().replace(/\.$/, ''),
    address: question.address ?? onlyAddress(listener),
  }
}

/** The one that was asked for, else the first of the protocol that opens TLS or needs none. */
function findListener(
  { listener: name, protocol }: Question,
  listeners: readonly ListenerSettings[],
): ListenerSettings | { wrong: string } {
  if (name !== undefined) {
    const named = listeners.find((listener) => listener.name === name)
    if (!named) return { wrong: `there is no listener ${name}: ${listeners.map((one) => one.name).join(', ')}` }
    if (protocol !== undefined && named.protocol !== protocol)
      return { wrong: `listener ${name} does not speak ${protocol}` }
    return named
  }
  const speaking = listeners.filter((listener) => protocol === undefined || listener.protocol === protocol)
  const found = speaking.find(({ tls }) => tls !== 'passthrough') ?? speaking[0]
  return found ?? { wrong: `no listener speaks ${protocol ?? ''}` }
}

/** Where every client comes to the same address, it is known without asking; but for those that a PROXY header speaks of. */
function onlyAddress({ listen, proxyProtocol }: ListenerSettings): string | undefined {
  const [only, ...others] = listen
  if (!only || others.length > 0 || proxyProtocol !== 'off') return undefined
  return isAddress(only.host) && !isUnspecified(only.host) ? only.host : undefined
}
