/** What the codes of failing back ends and directories mean, and what to do next, in words for operators. docs/errors.md has more. */
import type { ERRORS } from '../errors.ts'
import { type ErrorCode } from '../errors.ts'

type CodeOf<S> = { [C in ErrorCode]: (typeof ERRORS)[C]['side'] extends S ? C : never }[ErrorCode]
type Explained = CodeOf<'backend' | 'directory'> | 'proxy-loop' | 'no-master' | 'backend-no-port' | 'local-shortage'

const CAUSES: Record<Explained, readonly [cause: string, next: string]> = {
  'backend-refused': [
    'no program listens on the port',
    'start the mail server, or correct `host` and the port in the routing file',
  ],
  'backend-unreachable': [
    'there is no way to the address, or the name cannot be looked up',
    'look at network, firewall and DNS between mailmux and the mail server',
  ],
  'backend-timeout': [
    'it does not answer in time',
    'see whether the mail server hangs, a firewall drops packets, or the port expects other `tls` or `proxy_protocol`',
  ],
  'backend-closed': [
    'it closes the connection before its answer',
    "read the mail server's log: often it limits connections of one address, or `proxy_protocol` is not what it expects",
  ],
  'backend-garbage': [
    'its answer is not of this protocol',
    'correct the port, `tls` and `proxy_protocol` in the routing file: the port may be that of TLS or of another protocol',
  ],
  'backend-bye': [
    'it says goodbye in place of a greeting',
    "read the mail server's log: often it has too many connections",
  ],
  'backend-unavailable': [
    'it says that it is temporarily unavailable',
    "read the mail server's log: its user database or storage is away",
  ],
  'backend-down': ['it is down', '`mailmux backend list` has the state and the error of each address'],
  'backend-paused': ['it is paused by an operator', '`mailmux backend up NAME` when the store is back'],
  'backend-drained': ['it is drained by an operator', '`mailmux backend up NAME`, or move its users'],
  'backend-busy': ['a limit of the back end is reached', 'raise `limits` of the back end, if it can take more'],
  'backend-test-user': [
    'it refuses the login of the test user',
    'correct `health.user` and its `password_file`, or the account at the mail server',
  ],
  'backend-tls-failed': [
    'the TLS handshake fails',
    'correct `tls` in the routing file: often `implicit` is set for a port that expects STARTTLS',
  ],
  'backend-certificate': [
    'its certificate is not trusted, has expired, or is for another name',
    'renew the certificate, or correct `ca_file`, `tls_name` or `pin_sha256` in the routing file',
  ],
  'backend-no-starttls': [
    'it does not offer STARTTLS, or refuses it',
    'turn TLS on at the mail server, or correct `tls` in the routing file',
  ],
  'backend-bytes-before-tls': [
    'it sends data before the TLS handshake: the network may inject replies',
    'inspect the network between mailmux and the mail server',
  ],
  'backend-no-mechanism': [
    "it does not accept this kind of login from mailmux's address",
    "allow plain-text logins for mailmux's address, or use TLS; `forward_identity: false` if it refuses XCLIENT",
  ],
  'proxy-loop': ['its address leads back to mailmux', 'correct `host` in the routing file'],
  'no-master': ['it has no `master` for logins by certificate', 'set `master` of the back end in the routing file'],
  'backend-no-port': [
    'it has no port for this protocol',
    'add the port of the protocol to the back end in the routing file',
  ],
  'user-on-hold': ['the user is on hold', '`mailmux route get USER` shows the hold; that of a move ends by itself'],
  'directory-unavailable': [
    'the directory does not answer',
    '`mailmux check --probe` tests Redis, or the auth server; docs/operations.md#when-redis-is-away',
  ],
  'route-invalid': [
    'the route in the directory is not valid',
    '`mailmux route get USER` shows it, and `mailmux route set USER BACKEND` replaces it',
  ],
  'local-shortage': [
    'this machine has no descriptor, memory or local port left',
    'raise the limit of open files (`LimitNOFILE`), or lower `limits.max_connections`',
  ],
}

export type Cause = { code: string; cause: string; next: string }

/** @param code as an answer of a running mailmux has it, which may be of a later version */
export function causeOf(code: string): Cause {
  const [cause, next] = Object.entries(CAUSES).find(([known]) => known === code)?.[1] ?? [
    'it fails',
    'docs/errors.md lists the codes',
  ]
  return { code, cause, next }
}
