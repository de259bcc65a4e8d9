/** What a listener offers before login: the operator's choice, as far as every back end can take it. Pure. */
import type { Backends } from '../backend/backends.ts'
import type { CapabilityBook } from '../backend/capabilities.ts'
import { MECHANISMS, type ListenerSettings, type MechanismName } from '../config/settings.ts'
import { protocols } from '../protocol/protocols.ts'

export type Offer = { mechanisms: readonly MechanismName[]; announced: readonly string[] }

/** Mechanisms that give mailmux a password, which it can hand to any back end in one way or another. */
const WITH_PASSWORD: readonly MechanismName[] = ['PLAIN', 'LOGIN']

export function buildOffer(listener: ListenerSettings, backends: Backends, book: CapabilityBook): Offer {
  const serving = [...backends.values()].filter(({ settings }) => settings.ports[listener.protocol] !== undefined)
  const names = serving.map(({ settings }) => settings.name)
  const protocol = protocols[listener.protocol]
  const common = book.common(listener.protocol, names) ?? []
  const carried = new Set([...WITH_PASSWORD, ...protocol.mechanismsIn(common)])
  carried.delete('EXTERNAL') // the back ends' own EXTERNAL is about our certificate, not the client's
  if (listener.clientUser !== undefined && serving.some(({ settings }) => settings.master)) carried.add('EXTERNAL')
  return {
    mechanisms: (listener.mechanisms ?? MECHANISMS).filter((mechanism) => carried.has(mechanism)),
    announced: listener.capability?.split(' ') ?? protocol.announceable(common),
  }
}
