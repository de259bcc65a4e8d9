/**
 * What tells one mail protocol from another, as data: its names, ports, ALPN, SRV records, idle limit and more. Settings, schema, checks,
 * probes, metrics, admin API, commands and help texts derive from this table. A further protocol is an entry here, one in
 * `protocols.ts`, and a folder with its dialogues. This file is a leaf: it imports nothing, and every module may import it.
 */

/** Words that an operator may announce before login in place of the computed ones, by the key `<protocol>_capability` of a listener. */
export type CapabilityRules = {
  /** the word without which clients hang up, as it is written */
  required: string
  /** mailmux adds these words itself where they hold */
  own: RegExp
  /** these words would lead users past mailmux */
  withheld: RegExp
  /** of the key, for the manual */
  description: string
}

export type ProtocolSpec = {
  /** in sentences: descriptions of keys, messages and help texts */
  title: string
  /** a banner's `%p` */
  bannerName: string
  /** registered with IANA; `implicit` is the one with TLS from the first byte */
  ports: { plain: number; implicit: number }
  /** the protocol ID of RFC 7301, towards clients, towards back ends and in PROXY headers */
  alpn: string
  /** the command that starts TLS */
  startTls: string
  /**
   * The service names of SRV records under a domain, by whether they begin with TLS. undefined: `srv: example.org` does not stand for
   * records of this protocol
   */
  srvNames: { plain: string; implicit: string } | undefined
  /** how long a session may be silent */
  idle: {
    /** as it is written in the configuration */
    byDefault: string
    /** the least that the RFC allows; less is warned of with `shortWarning` */
    leastMs: number
    shortWarning: string
    /** of the key `idle_<protocol>`, for the manual */
    description: string
  }
  /**
   * How long a login waits at most whose back end is paused. Clients read for 40 to 100 s before they give up, and IMAP clients get
   * messages meanwhile: a longer wait would end in the client's own timeout.
   */
  longestHoldMs: number
  /** how a back end is told who the client is; `note` is for the manual */
  identityBy: { command: string; note: string | undefined }
  /** what the text of a greeting must not contain, because clients would read more into it */
  bannerTrap: { pattern: RegExp; why: string } | undefined
  /** undefined: what is announced before login cannot be configured */
  capability: CapabilityRules | undefined
}

const MINUTE_MS = 60_000

/** In the order in which the manual and messages name them. */
export const PROTOCOL_SPECS = {
  imap: {
    title: 'IMAP',
    bannerName: 'IMAP4',
    ports: { plain: 143, implicit: 993 }, // RFC 9051 2.1, RFC 8314 7
    alpn: 'imap',
    startTls: 'STARTTLS',
    srvNames: { plain: '_imap', implicit: '_imaps' }, // RFC 6186 3.2
    idle: {
      byDefault: '31m',
      leastMs: 30 * MINUTE_MS,
      shortWarning: 'RFC 9051 5.4 demands at least 30m; clients in IDLE will be cut off',
      description:
        'An IMAP session without a byte either way ends after this. Default 31m: RFC 9051 5.4 demands at least 30m, and clients renew IDLE every 29m. Less is warned of.',
    },
    longestHoldMs: 45_000,
    identityBy: { command: 'ID', note: 'x-originating-ip and others' },
    bannerTrap: undefined,
    capability: {
      required: 'IMAP4rev1', // RFC 3501 6.1.1
      own: /^(?:STARTTLS|LOGINDISABLED|AUTH=.*)$/iu,
      // UNAUTHENTICATE (RFC 8437) would let a second user past the routing; referrals (RFC 2221, RFC 2193) name hosts behind mailmux.
      withheld: /^(?:UNAUTHENTICATE|LOGIN-REFERRALS|MAILBOX-REFERRALS)$/iu,
      description:
        'IMAP capabilities announced before login, as words with spaces between, IMAP4rev1 among them; STARTTLS, LOGINDISABLED and AUTH= are added as they hold. Default: computed from what all back ends announce, which never promises too much.',
    },
  },
  pop3: {
    title: 'POP3',
    bannerName: 'POP3',
    ports: { plain: 110, implicit: 995 }, // RFC 1939 3, RFC 8314 7
    alpn: 'pop3',
    startTls: 'STLS',
    srvNames: { plain: '_pop3', implicit: '_pop3s' }, // RFC 6186 3.3
    idle: {
      byDefault: '10m',
      leastMs: 10 * MINUTE_MS,
      shortWarning: 'RFC 1939 3 demands at least 10m',
      description:
        'The same for POP3. Default 10m, the least that RFC 1939 3 allows: a POP3 session locks the mailbox. Less is warned of.',
    },
    longestHoldMs: 25_000, // no message can keep the client waiting
    identityBy: { command: 'XCLIENT', note: undefined },
    // RFC 1939 7: a timestamp in the greeting announces APOP.
    bannerTrap: { pattern: /<[^<>]*>/u, why: '<...> in a POP3 banner announces APOP, which mailmux does not offer' },
    capability: undefined,
  },
  managesieve: {
    title: 'ManageSieve',
    bannerName: 'ManageSieve',
    ports: { plain: 4190, implicit: 4190 }, // RFC 5804 1.8; none is registered for implicit TLS
    alpn: 'managesieve', // RFC 7301 registry
    startTls: 'STARTTLS',
    // RFC 5804 1.8 has _sieve. Few domains publish it, and each lookup of a missing name would be reported as a fault.
    srvNames: undefined,
    idle: {
      byDefault: '31m',
      leastMs: 30 * MINUTE_MS,
      shortWarning: 'RFC 5804 1.2 demands at least 30m',
      description: 'The same for ManageSieve. Default 31m: RFC 5804 1.2 demands at least 30m. Less is warned of.',
    },
    longestHoldMs: 25_000,
    identityBy: { command: 'XCLIENT', note: undefined },
    bannerTrap: undefined,
    capability: undefined,
  },
} as const satisfies Readonly<Record<string, ProtocolSpec>>

export type ProtocolName = keyof typeof PROTOCOL_SPECS

/** The protocols whose `<protocol>_capability` is a key of a listener. */
export type CapabilityProtocol = {
  [Name in ProtocolName]: (typeof PROTOCOL_SPECS)[Name]['capability'] extends undefined ? never : Name
}[ProtocolName]

export const PROTOCOL_NAMES = Object.keys(PROTOCOL_SPECS) as [ProtocolName, ...ProtocolName[]]

export const CAPABILITY_PROTOCOLS = PROTOCOL_NAMES.filter(isCapabilityProtocol)

export function isCapabilityProtocol(protocol: ProtocolName): protocol is CapabilityProtocol {
  return PROTOCOL_SPECS[protocol].capability !== undefined
}

export function specOf(protocol: ProtocolName): ProtocolSpec {
  return PROTOCOL_SPECS[protocol]
}

/** @returns one value for each protocol */
export function eachProtocol<T>(make: (spec: ProtocolSpec, name: ProtocolName) => T): Record<ProtocolName, T> {
  return Object.fromEntries(PROTOCOL_NAMES.map((name) => [name, make(specOf(name), name)])) as Record<ProtocolName, T>
}

/** A list in a sentence: `imap, pop3 or managesieve`. */
export function listProtocols(
  word: 'and' | 'or',
  write: (spec: ProtocolSpec, name: ProtocolName) => string = (_, name) => name,
): string {
  const words = PROTOCOL_NAMES.map((name) => write(specOf(name), name))
  return `${words.slice(0, -1).join(', ')} ${word} ${words.at(-1) ?? ''}`
}
