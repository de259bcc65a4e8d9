/** What a listener offers before login: the operator's choice, as far as every back end can take it. */
import type { Backends } from '../backend/backends.ts'
import type { CapabilityBook } from '../backend/capabilities.ts'
import { MECHANISMS, type ListenerSettings, type MechanismName } from '../config/settings.ts'
import { protocols } from '../protocol/protocols.ts'

export type Offer = { mechanisms: readonly MechanismName[]; announced: readonly string[] }

/** Mechanisms that give mailmux a password, which it can hand to any back end in one way or another. */
const WITH_PASSWORD: readonly MechanismName[] = ['PLAIN', 'LOGIN']

/** @returns what a listener offers now; computed again only where a back end has said something new, not for each connection */
export function createOffers(book: CapabilityBook): (listener: ListenerSettings, backends: Backends) => Offer {
  const known = new WeakMap<ListenerSettings, { version: number; offer: Offer }>()
  return (listener, backends) => {
    const version = book.version()
    const last = known.get(listener)
    if (last?.version === version) return last.offer
    const offer = buildOffer(listener, backends, book)
    known.set(listener, { version, offer })
    return offer
  }
}

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
