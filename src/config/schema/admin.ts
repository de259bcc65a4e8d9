/** The keys of `admin`: the HTTP service for operators. */
import { z } from 'zod'
import { hostText, oneAddress, text } from './fields.ts'

export const admin = z
  .strictObject({
    listen: oneAddress(
      'One address with a port for health, metrics and the API. Default 127.0.0.1:9143. An address that is not loopback needs token_file or tokens_file.',
      '127.0.0.1:9143',
    ),
    token_file: text(
      'File that holds the bearer token which the API asks for, and which has all rights. Relative to this file. Default: none, which is allowed on loopback only.',
    ).optional(),
    tokens_file: text(
      'File with several tokens for the API, one for each line: a name for the log, its rights (read or operate, which includes read), and the token or `sha256:` with its SHA-256 in hexadecimal. Relative to this file. Default: none.',
    ).optional(),
    socket: text(
      'Unix socket that serves the same. Its permissions (owner and group of mailmux, 0660) decide who may ask, with all rights and without a token. Relative to this file. `off`: none. Default: /run/mailmux/admin.sock, where mailmux can make it; otherwise none.',
    ).optional(),
    hosts: z.array(hostText('A host name.')).prefault([]).meta({
      description:
        "Names beside `hostname`, `localhost` and addresses that a request may carry as its Host, such as the one that Prometheus scrapes. Default: none, as any other name may be a web page's that leads to this address (DNS rebinding).",
    }),
  })
  .optional()
  .meta({ description: 'The admin HTTP service. Default: off; `admin: {}` turns it on with its defaults.' })
