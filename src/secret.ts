/** A value that no inspect, JSON, template or log line can print. Only `reveal()` gives it out, and only the wire may call it. */
import { inspect } from 'node:util'

export class Secret {
  readonly #value: string

  /** @param value the secret; for what came over the wire, bytes as latin1 so that every octet survives */
  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}
