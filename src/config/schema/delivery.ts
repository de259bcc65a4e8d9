/** The keys of `delivery`: the service that tells a Postfix where the mail of a user is delivered. */
import { z } from 'zod'
import { oneAddress, parsedText } from './fields.ts'
import { parseNetwork, parseRecipientDelimiter } from './wire-values.ts'

export const delivery = z
  .strictObject({
    listen: oneAddress(
      'One address with a port for the socketmap lookups of Postfix. Default 127.0.0.1:24091. An address that is not loopback needs `clients`.',
      '127.0.0.1:24091',
    ),
    clients: z
      .array(parsedText(parseNetwork, 'An address or a network: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32.'))
      .prefault([])
      .meta({
        description:
          'Addresses and networks (CIDR) that may ask; connections from others are closed. Default: none, which means this machine alone. The replies tell which users exist, and the protocol has no authentication.',
      }),
    recipient_delimiter: parsedText(
      parseRecipientDelimiter,
      'Characters that begin an address extension, as in `recipient_delimiter` of Postfix: mail for alice+news@example.test is delivered where alice@example.test lives, unless the whole address has a route. Empty: addresses have no extensions. Default "+", as in Dovecot.',
      '+',
    ),
  })
  .optional()
  .meta({
    description:
      'A socketmap service for Postfix, which returns the LMTP address of the back end of a user, and defers the mail of a user on hold. Default: off; `delivery: {}` turns it on with its defaults.',
  })
