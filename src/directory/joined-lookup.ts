/**
 * Looks up the names of the directory's servers by the system's resolver, with one lookup at a time for each name. A lookup cannot be
 * cancelled and holds one of libuv's four threads. Abandoned attempts must not occupy all of them while the name server is dead.
 */
import { lookup as systemLookup, type LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { lookupError } from '../descriptor-shortage.ts'

type Lookups = (name: string) => Promise<LookupAddress[]>

const ofSystem: Lookups = (name) =>
  new Promise((resolve, reject) => {
    systemLookup(name, { all: true, order: 'verbatim' }, (error, all) =>
      error ? reject(lookupError(error)) : resolve(all),
    )
  })

/** @param ask for the tests */
export function createJoinedLookup(ask: Lookups = ofSystem): LookupFunction {
  const underWay = new Map<string, Promise<LookupAddress[]>>()
  return (name, { all }, found) => {
    let asked = underWay.get(name)
    if (!asked) {
      asked = ask(name).finally(() => underWay.delete(name))
      underWay.set(name, asked)
    }
    asked.then(
      (addresses) => {
        const [first] = addresses
        if (all === true) found(null, addresses)
        else if (first) found(null, first.address, first.family)
        else found(new Error(`no address of ${name}`), '')
      },
      (error: unknown) => found(error instanceof Error ? error : new Error(String(error)), ''),
    )
  }
}
