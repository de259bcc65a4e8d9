/** The keys that limit the clients of a listener: below `limits` for all listeners, and below `limits` of a listener in place of those. */
import { z } from 'zod'
import { boundedInt, duration, parsedText, text } from './fields.ts'
import { parseRate } from './rate.ts'
import { parseNetwork } from './wire-values.ts'

function networks(description: string) {
  return z
    .array(parsedText(parseNetwork, 'An address or a network: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32.'))
    .optional()
    .meta({ description })
}

function count(description: string) {
  return boundedInt(`${description} Default: no limit.`, undefined, [1, 1_000_000]).optional()
}

function rate(description: string) {
  return parsedText(
    parseRate,
    `${description} 60/1m: 60 at once, and then one a second. From 1 to 1000000, in 1s to 24h. Default: no limit.`,
  ).optional()
}

const FILE_FORM =
  'One address or network on each line; empty lines and what follows a # do not count. Relative to this file; read again when it changes.'

const penalty = z
  .strictObject({
    after: boundedInt(
      'Failed logins without a delay. Default 3: a person who mistypes, or a device with an old password.',
      3,
      [0, 1000],
    ),
    step: duration('How much longer each further failure makes the delay.', '1s', ['0s', '30s']),
    most: duration('The longest delay. Default 15s: with the login itself, clients give up at about 30s.', '15s', [
      '0s',
      '30s',
    ]),
    half_life: duration('The time in which half of the failures are forgotten.', '10m', ['1s', '24h']),
  })
  .optional()
  .meta({
    description:
      'A delay before a login is checked, which grows with each failed login of the address (IPv6: of the /64, and of the /48 after ten times as many), and of the user for addresses that have not logged that user in before. It fades by itself; a success does not shorten it. `penalty: {}` turns it on. Default: none.',
  })

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
  exempt: networks(
    'Addresses and networks that no limit by address applies to, and no penalty: a webmail, or the address translation of an office. Default: none.',
  ),
  connections_per_address: count(
    'Connections of one IPv4 address, or of one IPv6 /64, to the listeners of a protocol.',
  ),
  connections_per_prefix: count('The same of one IPv6 /48.'),
  connection_rate: rate('How often one address (IPv6: /64) may connect to the listeners of a protocol.'),
  login_rate: rate('How often one address (IPv6: /64) may try to log in by a protocol, with or without success.'),
  sessions_per_user: count('Sessions of one user by a protocol. A login counts once the back end has accepted it.'),
  sessions_per_domain: count('Sessions of the users of one domain by a protocol.'),
  sessions_per_backend_user: count(
    'Sessions by a protocol under one name at one back end, where several users have the same `login` there.',
  ),
  user_login_rate: rate('How often one user may log in by a protocol. Only accepted logins count.'),
  penalty,
}

/** Of a listener. */
export const listenerLimits = z
  .strictObject({
    max_connections: count(
      'Connections to this listener at a time, before login and after. For a further one the oldest login of this listener ends that is held back after a wrong password.',
    ),
    ...clientLimits,
  })
  .prefault({})
  .meta({
    description:
      'Limits on the clients of this listener, each in place of the one of the same name in `limits`, where max_connections is of all listeners together. Default: those of `limits`.',
  })
