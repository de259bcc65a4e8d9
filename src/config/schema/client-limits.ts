/** The keys that limit the clients of a listener: below `limits` for all listeners, and below `limits` of a listener in place of those. */
import { z } from 'zod'
import { parsedText, text } from './fields.ts'
import { parseNetwork } from './wire-values.ts'

function networks(description: string) {
  return z
    .array(parsedText(parseNetwork, 'An address or a network: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32.'))
    .optional()
    .meta({ description })
}

const FILE_FORM =
  'One address or network on each line; empty lines and what follows a # do not count. Relative to this file; read again when it changes.'

/** Without the maps around them: `limits` has further keys. */
export const clientLimits = {
  allow: networks(
    'Addresses and networks (CIDR) whose clients may connect, before TLS; others are rejected. Default: every address, unless allow_file is set.',
  ),
  allow_file: text(
    `A file with more of them. ${FILE_FORM} A file without a network is an error: no client could connect. Default: none.`,
  ).optional(),
  deny: networks(
    'Addresses and networks whose clients are rejected before TLS, also if allow has them. Default: none. With a PROXY header, the address of the client in it counts.',
  ),
  deny_file: text(`A file with more of them. ${FILE_FORM} Default: none.`).optional(),
}
