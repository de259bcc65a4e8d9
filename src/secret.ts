/** A value that no inspect, JSON, template or log line can print. Only `reveal()` gives it out, and only the wire may call it. */
import { inspect } from 'node:util'
import { encodeUtf8, type Octets } from './octets.ts'

export class Secret<T extends string = string> {
  readonly #value: T

  /** @param value the secret: octets where it comes from the wire or goes there, else text */
  constructor(value: T) {
    this.#value = value
  }

  reveal(): T {
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

/** A secret that a file holds as text, as it goes over the wire. */
export function encodeSecret(secret: Secret): Secret<Octets> {
  return new Secret(encodeUtf8(secret.reveal()))
}
