/** The keys of `directory.auth_http`: a server that decides by HTTP, by the protocol of nginx, which logins are accepted and at which back end. */
import { z } from 'zod'
import { authUrl, duration, text } from './fields.ts'
import { isUnderstood, keyRules } from './rules.ts'

const flag = (description: string) => z.boolean().default(false).meta({ description })

/** One line of printable ASCII, as RFC 9110 5.5 asks of what is sent. */
const HEADER_VALUE = /^[!-~](?:[ -~]*[!-~])?$/u

export const authHttp = z
  .strictObject({
    url: authUrl(
      'The server, as nginx has it in `auth_http`: "http://127.0.0.1:9000/auth", or https://, which nginx cannot. Required.',
    ),
    send_password: flag(
      'true: the server is sent the password of each login, and decides whether it is right; it may answer with another for the back end. Default false: it is asked for the user alone, and only the back end sees the password.',
    ),
    allow_plaintext: flag(
      'true lets an http:// url lead to another machine: an attacker on the way can read the passwords and choose the back end. Default false: https://, or this machine.',
    ),
    timeout: duration(
      'How long an answer may take, the time that it asks to wait included, before the server counts as away. Default 5s: enough for a slow password hash, and a client still waits. nginx waits for 60s, longer than clients do.',
      '5s',
      ['10ms', '30s'],
    ),
    headers: z
      .record(
        z.string(),
        z.union([
          text('The value.', undefined, HEADER_VALUE),
          z.strictObject({
            file: text('File that holds the value, where it is a secret. Relative to this file. Required.'),
          }),
        ]),
      )
      .default({})
      .meta({
        description: 'Headers to send besides (`auth_http_header`): name to value, or to {file}. Default: none.',
      }),
    send_client_certificate: flag(
      'true sends the certificate that a client has shown, as Auth-SSL-Cert (`auth_http_pass_client_cert`). Default false: its names and numbers are sent in any case.',
    ),
    ca_file: text(
      "CAs in PEM that the server's certificate must come from. Relative to this file. Default: the system's.",
    )
      .optional()
      .register(keyRules, {
        uselessWith: [
          {
            when: { url: (url?: string) => url?.startsWith('http://') === true, ca_file: isUnderstood },
            message: 'does nothing: the url is http://',
          },
        ],
      }),
  })
  .optional()
  .meta({ description: "A server that answers nginx's mail proxy (`auth_http`), asked at every login." })
