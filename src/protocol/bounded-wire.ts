/** The back end's side of a login, with a bound on all that is read from it, in lines and bytes. */
import { MuxError } from '../errors.ts'
import type { Octets } from '../octets.ts'
import { printableOctets } from '../printable.ts'
import type { LineLimit, Wire } from './protocol.ts'

/** A login takes some ten lines, and 64 more where a POP3 server lists capabilities before and after TLS. */
const MAX_LINES = 256
/** Two long capability lists are 16 KiB, and a challenge is 64 KiB at most. */
const MAX_BYTES = 128 * 1024

/**
 * @returns the same wire, for one dialogue. It throws `backend-garbage` where the back end has sent too many lines or octets, and
 * hands on no octet that a client's or an operator's terminal obeys.
 */
export function boundWire(wire: Wire): Wire {
  let lines = 0
  let bytes = 0
  const count = (octets: Octets): Octets => {
    lines++
    bytes += octets.length
    if (lines > MAX_LINES || bytes > MAX_BYTES)
      throw new MuxError('backend-garbage', `more than ${MAX_LINES} lines or ${MAX_BYTES} bytes without a result`)
    return printableOctets(octets)
  }
  return {
    readLine: (limit: LineLimit) => wire.readLine(limit).then(count),
    readBytes: (wanted) => wire.readBytes(wanted).then(count),
    write: (text) => wire.write(text),
    startTls: () => wire.startTls(),
    get secure() {
      return wire.secure
    },
  }
}
