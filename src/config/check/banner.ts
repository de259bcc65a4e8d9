/** Whether a banner's template gives a greeting that no client can misread. The template is filled in by `protocol/banner.ts`. */
import { PROTOCOL_NAMES, specOf, type ProtocolName } from '../../protocol/registry.ts'

/** Octets of the template: what is filled in then fits in POP3's 512 with most host names. */
const MAX_TEMPLATE = 400

/** Octets once filled in: 512 (RFC 2449 4) less `+OK `, CRLF and a few to spare. */
const MAX_EXPANDED = 500

/** The most that each placeholder grows to; the host name is known. */
const LENGTHS: Partial<Record<string, number>> = { P: 7, v: 10, V: 32, d: 31, '%': 1 }

/** @returns everything that is wrong with a template, as messages; none where it is fine */
export function checkBanner(template: string, protocol: ProtocolName | undefined, hostname = ''): string[] {
  const wrong: string[] = []
  // A line break would begin a second reply of the attacker's or the typist's choice.
  if (/\p{Cc}/u.test(template)) wrong.push('a banner is one line without control characters')
  // RFC 3501 9 `text`: 8-bit octets are not allowed before a client has enabled them.
  else if (/[^ -~]/u.test(template)) wrong.push('a banner is printable ASCII: other letters break the protocol')
  // RFC 9051 7.1: the client would read it as a response code.
  if (template.startsWith('[')) wrong.push('a banner must not begin with "[": clients read a response code there')
  const trap = protocol && specOf(protocol).bannerTrap
  if (trap?.pattern.test(template)) wrong.push(trap.why)
  let expanded = template.length
  for (const [found, letter = ''] of template.matchAll(/%(.?)/gsu)) {
    const length = letter === 'h' ? hostname.length : letter === 'p' ? nameLength(protocol) : LENGTHS[letter]
    if (length === undefined) wrong.push(`"${found}" is no placeholder: %h %p %P %v %V %d, and %% for a percent sign`)
    else expanded += length - found.length
  }
  if (template.length > MAX_TEMPLATE) wrong.push(`a banner has at most ${MAX_TEMPLATE} octets`)
  else if (expanded > MAX_EXPANDED)
    wrong.push(`with its placeholders filled in this banner passes ${MAX_EXPANDED} octets`)
  return wrong
}

/** The longest one where a mistake hides the protocol. */
function nameLength(protocol: ProtocolName | undefined): number {
  const names = protocol === undefined ? PROTOCOL_NAMES : [protocol]
  return Math.max(...names.map((name) => specOf(name).bannerName.length))
}
