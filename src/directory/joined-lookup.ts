/**
 * Looks up the names of the directory's servers as the system does, once at a time for each name: a look-up cannot be cancelled, and
 * each holds one of libuv's four threads. Attempts that were given up must not take them all while the name server is dead.
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
