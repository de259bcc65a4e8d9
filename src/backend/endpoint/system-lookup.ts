/**
 * Asks the system's resolver for back ends, one name at a time. A look-up cannot be cancelled and holds one of libuv's four threads,
 * with a dead name server for 10 seconds and more; several at once would take all threads, and the directory's name, files and
 * password hashes would wait for them.
 */
import { lookup } from 'node:dns/promises'

/** @throws Error with the system's code */
export type SystemLookup = (name: string) => Promise<string[]>

const ofSystem: SystemLookup = async (name) => {
  const all = await lookup(name, { all: true, order: 'verbatim' })
  return all.map(({ address }) => address)
}

/** @param ask for the tests. @returns what asks for one name after the other; those that wait for the same name get one answer */
export function createSystemLookup(ask: SystemLookup = ofSystem): SystemLookup {
  const waiting = new Map<string, Promise<string[]>>()
  let last: Promise<unknown> = Promise.resolve()
  return (name) => {
    let answer = waiting.get(name)
    if (!answer) {
      answer = last.then(() => ask(name)).finally(() => waiting.delete(name))
      waiting.set(name, answer)
      last = answer.catch(() => undefined)
    }
    return answer
  }
}
