/** The keys of `limits`: bounds on what one client or one back end may take. */
import { z } from 'zod'
import { PROTOCOL_NAMES, specOf, type ProtocolName } from '../../protocol/registry.ts'
import { clientLimits } from './client-limits.ts'
import { boundedInt, duration, size } from './fields.ts'

/** `idle_imap` and its like. */
function idleKeys() {
  const keys = PROTOCOL_NAMES.map((name) => {
    const { description, byDefault } = specOf(name).idle
    return [`idle_${name}`, duration(description, byDefault, ['1s', '24h'])]
  })
  return Object.fromEntries(keys) as Record<`idle_${ProtocolName}`, ReturnType<typeof duration>>
}

export const limits = z
  .strictObject({
    max_connections: boundedInt(
      'Connections of clients at a time, before login and after, by all workers together. For a further one the oldest login ends that is held back after a wrong password (failure_delay, penalty). Without such a login the further one is told to come back later, and closed. Default: as many as the limit of open files is enough for, which is about half of it; more than that is never taken.',
      undefined,
      [1, 1_000_000],
    ).optional(),
    max_line: size(
      'The longest command line before login, literals apart. Default 8KiB: RFC 2683 3.2.1.5 asks servers for 8000 octets, RFC 7162 4 for 8192; more would only be memory given to strangers.',
      '8KiB',
      ['1KiB', '1MiB'],
    ),
    login_timeout: duration(
      'From the greeting, or from the last refused attempt, to the next login. Default 60s: enough to type a password, short enough that idle strangers do not fill the machine.',
      '60s',
      ['1s', '30m'],
    ),
    max_bad_commands: boundedInt(
      'Commands that are not understood before the connection is closed. Default 3: a client makes none, a web browser tricked into speaking to us makes many.',
      3,
      [1, 100],
    ),
    max_wrong_passwords: boundedInt(
      'Refused credentials before the connection is closed. Default 5: a person who mistypes, or a mail client with an old password, tries two or three times; more only spares a guesser new connections.',
      5,
      [1, 100],
    ),
    failure_delay: duration(
      'A refused login is answered no sooner than this, whether the password or the user was wrong. Default 1s: it slows guessing and hides which of the two it was, and a person hardly notices.',
      '1s',
      ['0s', '10s'],
    ),
    backend_timeout: duration(
      "From the login command to the back end's answer: dialling, TLS, greeting and login together. Default 20s: clients give up at about 30s, and an answer of ours is better than their guess.",
      '20s',
      ['1s', '5m'],
    ),
    ...clientLimits,
    ...idleKeys(),
    end_timeout: duration(
      'How long a session that is told to end, while mailmux goes on, may take to come to a safe point; it is cut then. Default 60s: longer than nearly every command takes. A larger value delays a drain or a move for one slow upload.',
      '60s',
      ['1s', '1h'],
    ),
    spread_disconnects: duration(
      'The time over which sessions end that end for one event, as a stop of mailmux: their clients connect again at once, and would do so in one wave. When a back end hangs up without a word, clients at rest are told at random moments of this time. A stop takes no more than half of shutdown_grace for it, and less where 20 sessions a second need less. Default 10s: 2,000 sessions end at 200 a second. More delays the stop.',
      '10s',
      ['0s', '10m'],
    ),
    shutdown_grace: duration(
      'How long a stop waits for sessions that are busy. Default 30s: what service managers and Kubernetes grant before they kill.',
      '30s',
      ['0s', '1h'],
    ),
  })
  .prefault({})
  .meta({
    description: 'Bounds on what one client or one back end may take. Every one has a default that suits most sites.',
  })
