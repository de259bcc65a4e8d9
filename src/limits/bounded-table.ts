/**
 * A table with a largest size. Entries that were not set for longest make room, a whole generation at a time: it has the last `most / 2`
 * keys that were set for certain, and `most` at most. A single Map whose first key is deleted each time would be slow: V8 passes over
 * the places of all deleted keys to find the first one, and a guesser with new addresses would bring the process to a stand.
 */
export class BoundedTable<Value> {
  readonly #generation: number
  #young = new Map<string, Value>()
  #old = new Map<string, Value>()

  /** @param most 2 at least */
  constructor(most: number) {
    this.#generation = Math.floor(most / 2)
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: string): Value | undefined {
    return this.#young.get(key) ?? this.#old.get(key)
  }

  *keys(): Generator<string> {
    yield* this.#young.keys()
    yield* this.#old.keys()
  }

  /** Those that make room first come first. If the table changes meanwhile, a key may come twice. */
  *entries(): Generator<[string, Value]> {
    yield* this.#old
    yield* this.#young
  }

  set(key: string, value: Value): void {
    this.#old.delete(key)
    this.#young.set(key, value)
    if (this.#young.size < this.#generation) return
    this.#old = this.#young
    this.#young = new Map()
  }
}
