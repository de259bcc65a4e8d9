/** The back end's side of a login, with a bound on all that is read from it, in lines and bytes. */
import { MuxError } from '../errors.ts'
import type { Octets } from '../octets.ts'
import { printableOctets } from '../printable.ts'
import type { LineLimit, Wire } from './protocol.ts'
import type { Show } from './shown.ts'

/** A login takes some ten lines, and 64 more where a POP3 server lists capabilities before and after TLS. */
const MAX_LINES = 256
/** Two long capability lists are 16 KiB, and a challenge is 64 KiB at most. */
const MAX_BYTES = 128 * 1024

/**
 * @returns the same wire, for one dialogue. It throws `backend-garbage` where the back end has sent too many lines or octets, and
 * hands on no octet that a client's or an operator's terminal obeys.
 */
export function boundWire(wire: Wire): Wire {
  return new BoundedWire(wire)
}

class BoundedWire implements Wire {
  readonly #wire: Wire
  #lines = 0
  #bytes = 0

  constructor(wire: Wire) {
    this.#wire = wire
  }

  get secure(): boolean {
    return this.#wire.secure
  }

  readLine(limit: LineLimit, show?: Show): Promise<Octets> {
    return this.#wire.readLine(limit, show).then(this.#count)
  }

  readBytes(wanted: number): Promise<Octets> {
    return this.#wire.readBytes(wanted).then(this.#count)
  }

  write(text: string, show?: Show): void {
    this.#wire.write(text, show)
  }

  startTls(): Promise<void> {
    return this.#wire.startTls()
  }

  readonly #count = (octets: Octets): Octets => {
    this.#lines++
    this.#bytes += octets.length
    if (this.#lines > MAX_LINES || this.#bytes > MAX_BYTES)
      throw new MuxError('backend-garbage', `more than ${MAX_LINES} lines or ${MAX_BYTES} bytes without a result`)
    return printableOctets(octets)
  }
}
