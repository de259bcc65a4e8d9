/** The reference manual of one listener of mailmux.yaml, as a schema. Rules that need more than its keys: check/listener.ts. */
import { z } from 'zod'
import {
  CAPABILITY_PROTOCOLS,
  listProtocols,
  PROTOCOL_NAMES,
  PROTOCOL_SPECS,
  specOf,
  type CapabilityProtocol,
} from '../../protocol/registry.ts'
import { listenerLimits } from './client-limits.ts'
import { address, choice, domain, name, parsedText, renamedKeys, text } from './fields.ts'
import { isUnderstood, keyRules, otherThan, type KeyRules } from './rules.ts'
import type { MechanismName } from '../settings.ts'
import {
  parseCapability,
  parseCiphers,
  parseClientUser,
  parseDelimiters,
  parseSeparator,
  parseNetwork,
} from './wire-values.ts'

const MECHANISMS = [
  'PLAIN',
  'LOGIN',
  'XOAUTH2',
  'OAUTHBEARER',
  'SCRAM-SHA-1',
  'SCRAM-SHA-256',
  'EXTERNAL',
] as const satisfies readonly MechanismName[]

const PORTS = PROTOCOL_NAMES.map((name) => {
  const { plain, implicit } = specOf(name).ports
  return `${name} ${plain}, with TLS from the first byte ${implicit}`
}).join('; ')
const START_TLS = [...new Set(PROTOCOL_NAMES.map((name) => specOf(name).startTls))].join(', ')
const BANNER_NAMES = PROTOCOL_NAMES.map((name) => specOf(name).bannerName).join(', ')

/** Keys about what mailmux sends, reads or decrypts: with tls: passthrough it does none of that. */
const CARRIED_ON = {
  when: { tls: ['passthrough'] },
  message: 'does nothing with tls: passthrough: nothing is decrypted or answered here',
}
const OF_OPENED: KeyRules = { uselessWith: [CARRIED_ON] }
const OF_TLS: KeyRules = {
  uselessWith: [CARRIED_ON, { when: { tls: ['none'] }, message: 'does nothing with tls: none' }],
}

/** `imap_capability` and its like: optional texts. */
function capabilityKeys() {
  const keys = CAPABILITY_PROTOCOLS.map((name) => {
    const { capability, title } = PROTOCOL_SPECS[name]
    return [
      `${name}_capability`,
      parsedText((text) => parseCapability(text, capability), capability.description)
        .optional()
        .register(keyRules, {
          uselessWith: [
            CARRIED_ON,
            { when: { protocol: otherThan(name) }, message: `does nothing here: it is of ${title} alone` },
          ],
        }),
    ]
  })
  return Object.fromEntries(keys) as Record<
    `${CapabilityProtocol}_capability`,
    z.ZodOptional<ReturnType<typeof parsedText>>
  >
}

export const listener = z
  .strictObject({
    name: name(
      'Its name in logs and metrics. Must be unique. Required, so that a reordered list does not rename a series.',
    ),
    protocol: choice(PROTOCOL_NAMES, [], `What is spoken here: ${listProtocols('or')}. Required.`),
    listen: z
      .union([address, z.array(address).min(1)])
      .optional()
      .meta({
        description: `Where to accept connections: one address or a list. "0.0.0.0:143", "[::]:143", or 143 alone for every address of both families. Default: the protocol's registered port on every address (${PORTS}), as that is where clients look.`,
      }),
    tls: choice(
      ['none', 'starttls', 'implicit', 'passthrough'],
      [],
      `none: never encrypted. starttls: the client turns TLS on (${START_TLS}). implicit: TLS from the first byte. passthrough: TLS from the first byte, never decrypted here but carried to the back end that the server name leads to. Default starttls: with allow_plaintext_auth off it never lets a password pass in the clear, and it needs no port of its own.`,
      'starttls',
    ),
    passthrough: z
      .record(z.string(), text('The name of a back end of the routing file, reached with tls: implicit.'))
      .default({})
      .meta({
        description:
          'Server names whose TLS goes to a back end unopened: an exact name, "*.example.org" for one label more, "*" for every other name and for none; the most exact wins. With tls: passthrough other names are refused, with tls: implicit they are served here. Default: none.',
      })
      .register(keyRules, {
        uselessWith: (['none', 'starttls'] as const).map((tls) => ({
          when: { tls: [tls], passthrough: isUnderstood },
          message: `does nothing with tls: ${tls}: no server name comes before the protocol`,
        })),
      }),
    banner: text(
      `The text of the greeting. %h host name, %p protocol (${BANNER_NAMES}), %P product, %v short and %V full version, %d date and time of the connection, %% a percent sign. Printable ASCII, at most 400 octets. Default "%h %p service (%P) ready on %d": it names the product and not the version, which would tell an attacker which holes to try.`,
      '%h %p service (%P) ready on %d',
    ).register(keyRules, OF_OPENED),
    proxy_protocol: choice(
      ['off', 'required'],
      [],
      'Whether a PROXY header (v1 or v2) comes before all else: required refuses connections without one. Default off: only a proxy in front of mailmux can send a true one, and the address in any other is forged.',
      'off',
    ).register(keyRules, {
      needs: [
        {
          key: 'trusted_proxies',
          when: { proxy_protocol: ['required'], trusted_proxies: isUnderstood },
          message: 'needs trusted_proxies: without them no client may connect here',
          at: 'value',
        },
      ],
    }),
    trusted_proxies: z
      .array(parsedText(parseNetwork, 'An address or a network: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32.'))
      .prefault([])
      .meta({
        description:
          'Addresses and networks (CIDR) that may connect where a PROXY header is required; others are hung up on. Default: none. Required with proxy_protocol: required, refused without.',
      })
      .register(keyRules, {
        uselessWith: [
          {
            when: {
              proxy_protocol: ['off'],
              trusted_proxies: (trusted: readonly unknown[] = []) => trusted.length > 0,
            },
            message: 'does nothing while proxy_protocol is off',
          },
        ],
      }),
    allow_plaintext_auth: z
      .boolean()
      .default(false)
      .meta({
        description:
          'true lets a password cross the wire unencrypted, where an attacker on the way can read it. Default false (RFC 8314 3). Warned of at start.',
      })
      .register(keyRules, {
        uselessWith: [
          CARRIED_ON,
          {
            when: { allow_plaintext_auth: [true], tls: ['implicit'] },
            message: 'does nothing here: with implicit TLS nothing is ever in plain text',
            at: 'value',
          },
        ],
      }),
    mechanisms: z
      .array(choice(MECHANISMS, [], 'A SASL mechanism.'))
      .min(1, { error: 'at least one mechanism is needed; leave the key out for all' })
      .optional()
      .meta({
        description:
          'SASL mechanisms offered at most: PLAIN, LOGIN, XOAUTH2, OAUTHBEARER, SCRAM-SHA-1, SCRAM-SHA-256, EXTERNAL. Which of them are offered depends on TLS and on what the back ends can take. Default: all, EXTERNAL where client_cert_user is set.',
      })
      .register(keyRules, OF_OPENED),
    ...capabilityKeys(),
    min_version: choice(
      ['TLSv1.2', 'TLSv1.3'],
      [],
      'The oldest TLS that a client may speak here. Default: tls.min_version.',
    )
      .optional()
      .register(keyRules, OF_TLS),
    ciphers: parsedText(
      parseCiphers,
      "OpenSSL's cipher list for TLS 1.2; the ciphers of TLS 1.3 are not affected. Default: those with AEAD and forward secrecy (RFC 9325 4.2); mail clients of before 2014 may know CBC ciphers only, and would have to be named here.",
    )
      .optional()
      .register(keyRules, OF_TLS),
    client_ca_file: text(
      'File with the CAs in PEM whose client certificates are accepted. Without client_cert_user every client has to show one; with it, one that shows none may give a password. Relative to this file. Default: no client certificate is asked for.',
    )
      .optional()
      .register(keyRules, OF_TLS),
    client_cert_user: parsedText(
      parseClientUser,
      "The user that a client certificate speaks for (EXTERNAL): %{cn} its subject's common name, %{email} its e-mail address, with any text around them. A certificate with several of what is asked for speaks for no user, and no default domain is appended. Needs client_ca_file. Default: none; a certificate only admits, and a password is asked for.",
    )
      .optional()
      .register(keyRules, {
        ...OF_TLS,
        needs: [{ key: 'client_ca_file', message: 'needs client_ca_file: without it no certificate is asked for' }],
      }),
    default_domain: domain(
      'Appended to user names without a domain. Default: none; such names are looked up as they are.',
    )
      .optional()
      .register(keyRules, OF_OPENED),
    default_domains: z
      .record(z.string(), domain('The domain to append.'))
      .prefault({})
      .meta({
        description:
          'Default domains by the local address that a client connected to, or by the server name that it asked for; they win over default_domain. Default: none.',
      })
      .register(keyRules, OF_OPENED),
    delimiters: parsedText(
      parseDelimiters,
      'Characters that part user from domain in the names that clients send: 1 to 4 of @ % + ! # /, backslash and space, with @ among them. They become @ before the lookup. Before a backslash the domain comes first (DOMAIN\\user); a name with a backslash or a space is sent on as it is typed. Default "@": with others, a name that holds one would be cut in two.',
      '@',
    ).register(keyRules, OF_OPENED),
    master_separator: parsedText(
      parseSeparator,
      "What stands between a user and the master user that logs in for that user (alice*admin), as in Dovecot's auth_master_user_separator: one character that no user name has. The login is routed by the user and sent on whole; the back end checks the master user and the password. Default: none; such names are refused.",
    )
      .optional()
      .register(keyRules, OF_OPENED),
    limits: listenerLimits,
  })
  .meta({ description: 'One listener: a protocol, with its addresses and its TLS.' })
  .register(renamedKeys, { capability: 'imap_capability', client_user: 'client_cert_user' })
