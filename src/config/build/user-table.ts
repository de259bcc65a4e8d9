/**
 * The users of a routing file in two blocks of memory outside of the heap: nothing for a garbage collector to visit, and nothing to do for
 * each user where a table passes from one thread to another. It takes less than a Map of strings and objects does, about 35 octets and the name.
 */
import type { UserRoute, UserRoutes } from '../settings.ts'

/** What a table consists of, as it passes between threads and processes. */
export type UserTableParts = {
  size: number
  backends: readonly string[]
  /** one after another: octets of the name, octets of the login, number of the back end; then name and login */
  records: Uint8Array
  /** by the hash of a name: one more than the place of its record; 0 is free. A power of two. */
  slots: Uint32Array
}

const HEADER = 8
const NO_LOGIN = 0xffff

export class UserTable implements UserRoutes {
  readonly parts: UserTableParts
  readonly #records: Buffer

  constructor(parts: UserTableParts) {
    this.parts = parts
    this.#records = Buffer.from(parts.records.buffer, parts.records.byteOffset, parts.records.byteLength)
  }

  get size(): number {
    return this.parts.size
  }

  get(user: string): UserRoute | undefined {
    const at = this.#find(user)
    if (at === undefined) return undefined
    const records = this.#records
    const loginAt = at + HEADER + records.readUInt16LE(at)
    const loginLength = records.readUInt16LE(at + 2)
    const backend = this.parts.backends[records.readUInt32LE(at + 4)] ?? ''
    const login = loginLength === NO_LOGIN ? undefined : records.toString('utf8', loginAt, loginAt + loginLength)
    return { backend, login }
  }

  has(user: string): boolean {
    return this.#find(user) !== undefined
  }

  equals({ parts: { backends, records } }: UserTable): boolean {
    return this.parts.backends.join() === backends.join() && this.#records.equals(records)
  }

  *keys(): Generator<string> {
    const records = this.#records
    for (let at = 0; at < records.length;) {
      const [length, login] = [records.readUInt16LE(at), records.readUInt16LE(at + 2)]
      yield records.toString('utf8', at + HEADER, at + HEADER + length)
      at += HEADER + length + (login === NO_LOGIN ? 0 : login)
    }
  }

  *[Symbol.iterator](): Generator<[string, UserRoute]> {
    for (const user of this.keys()) yield [user, this.get(user) ?? { backend: '', login: undefined }]
  }

  #find(user: string): number | undefined {
    const { slots } = this.parts
    const octets = Buffer.byteLength(user)
    for (let slot = hash(user) & (slots.length - 1); ; slot = (slot + 1) & (slots.length - 1)) {
      const place = slots[slot] ?? 0
      if (place === 0) return undefined
      const at = place - 1
      if (this.#records.readUInt16LE(at) !== octets) continue
      if (this.#records.toString('utf8', at + HEADER, at + HEADER + octets) === user) return at
    }
  }
}

/** @param users names of at most 320 octets, each once */
export function buildUserTable(users: UserRoutes): UserTable {
  let length = 0
  for (const [user, { login = '' }] of users) length += HEADER + Buffer.byteLength(user) + Buffer.byteLength(login)
  const records = Buffer.from(new ArrayBuffer(length))
  // At most half of the slots are taken, so that a search ends after two or three.
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * users.size + 1)))
  const backends = new Map<string, number>()
  let at = 0
  for (const [user, { backend, login }] of users) {
    const number = backends.get(backend) ?? backends.size
    backends.set(backend, number)
    let slot = hash(user) & (slots.length - 1)
    while (slots[slot] !== 0) slot = (slot + 1) & (slots.length - 1)
    slots[slot] = at + 1
    const nameLength = records.write(user, at + HEADER)
    const loginLength = login === undefined ? NO_LOGIN : records.write(login, at + HEADER + nameLength)
    records.writeUInt16LE(nameLength, at)
    records.writeUInt16LE(loginLength, at + 2)
    records.writeUInt32LE(number, at + 4)
    at += HEADER + nameLength + (login === undefined ? 0 : loginLength)
  }
  return new UserTable({ size: users.size, backends: [...backends.keys()], records, slots })
}

/** FNV-1a. The names are those of the operator's file: no client can make them collide. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return (value ^ (value >>> 15)) >>> 0
}
