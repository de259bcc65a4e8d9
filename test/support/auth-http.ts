/** An auth server as people have it who run nginx's mail proxy, answered by nginx itself, and that mail proxy beside mailmux. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Leaf } from './certificates.ts'
import { START_DEADLINE_MS, until } from './deadline.ts'
import { startNginx } from './nginx.ts'
import type { Scene } from './scene.ts'

/** What it says of one user. */
export type Account = {
  /** undefined: any is right */
  password?: string
  /** the ports of the back end */
  imap: number
  pop3: number
  host?: string
  /** Auth-User and Auth-Pass of the answer */
  login?: string
  loginPassword?: string
}

/** One question as the server read it: the contract's headers, in lower case with underscores; `null` where one was not sent. */
export type Asked = Record<string, string>

export type AuthServer = {
  url: string
  /** Every question so far; waits until there are so many. */
  asked: (count: number) => Promise<Asked[]>
  stop: () => Promise<void>
}

const HEADERS = [
  ...['auth_method', 'auth_user', 'auth_pass', 'auth_salt', 'auth_protocol', 'auth_login_attempt', 'client_ip'],
  ...['client_host', 'auth_ssl', 'auth_ssl_protocol', 'auth_ssl_cipher', 'auth_ssl_verify', 'auth_ssl_subject'],
  ...['auth_ssl_issuer', 'auth_ssl_serial', 'auth_ssl_fingerprint', 'auth_ssl_cert', 'x_auth_key'],
  ...['proxy_protocol_addr', 'proxy_protocol_port', 'proxy_protocol_server_addr', 'proxy_protocol_server_port'],
]

/** A `map` of nginx, with its default last. */
function map(from: string, to: string, values: [string, string | number][], otherwise = ''): string {
  const lines = values.map(([key, value]) => `"${key.replaceAll(/["\\]/g, '\\$&')}" "${value}";`)
  return `map ${from} ${to} { ${lines.join(' ')} default "${otherwise}"; }`
}

/**
 * @param port of 127.0.0.1 to listen on
 * @param accounts by name; everybody else is told "Invalid login or password"
 */
export async function startAuthServer(
  scene: Scene,
  port: number,
  accounts: Readonly<Record<string, Account>>,
): Promise<AuthServer> {
  const users = Object.entries(accounts)
  const each = (value: (account: Account) => string | undefined): [string, string][] =>
    users.flatMap(([user, account]) => (value(account) === undefined ? [] : [[user, value(account) ?? '']]))
  const log = HEADERS.map((name) => `"${name}":"$http_${name}"`).join(',')
  const http = `
    map_hash_bucket_size 256;
    log_format asked escape=json '{${log}}';
    ${map(
      '$http_auth_user',
      '$known',
      each((account) => (account.password === undefined ? 'any' : undefined)),
    )}
    ${map(
      '$http_auth_user:$http_auth_pass',
      '$right',
      users.flatMap(([user, { password }]) => (password === undefined ? [] : [[`${user}:${password}`, 'right']])),
    )}
    ${map(
      '$known$right',
      '$auth_status',
      [
        ['any', 'OK'],
        ['right', 'OK'],
      ],
      'Invalid login or password',
    )}
    ${map(
      '$http_auth_user',
      '$auth_server',
      each(({ host }) => host),
      '127.0.0.1',
    )}
    ${map(
      '$http_auth_protocol:$http_auth_user',
      '$auth_port',
      users.flatMap(([user, { imap, pop3 }]) => [
        [`imap:${user}`, imap],
        [`pop3:${user}`, pop3],
      ]),
    )}
    ${map(
      '$http_auth_user',
      '$login',
      each(({ login }) => login),
    )}
    ${map(
      '$http_auth_user',
      '$login_password',
      each(({ loginPassword }) => loginPassword),
    )}
    map $http_auth_login_attempt $auth_wait { ~^[12]$ 1; default ""; }
    server {
      listen 127.0.0.1:${port};
      location = /auth {
        access_log asked.log asked;
        add_header Auth-Status $auth_status;
        add_header Auth-Server $auth_server;
        add_header Auth-Port $auth_port;
        add_header Auth-User $login;
        add_header Auth-Pass $login_password;
        add_header Auth-Wait $auth_wait;
        return 204;
      }
    }`
  const { directory, program } = await startNginx(scene, { name: `auth-${port}`, http, port })
  const read = async (): Promise<Asked[]> => {
    const text = await readFile(join(directory, 'asked.log'), 'utf8')
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Asked)
  }
  return {
    url: `http://127.0.0.1:${port}/auth`,
    // nginx logs a question once it has answered it
    asked: (count) =>
      until(
        START_DEADLINE_MS,
        async () => {
          const asked = await read()
          return asked.length >= count ? asked : undefined
        },
        () => `the auth server was asked fewer than ${count} times`,
      ),
    stop: async () => {
      await program.stop()
    },
  }
}

export type MailProxyOptions = {
  auth: AuthServer
  imap: number
  imaps: number
  pop3: number
  certificate: Leaf
  caFile: string
}

/** nginx's own mail proxy in front of the same auth server. */
export async function startMailProxy(scene: Scene, options: MailProxyOptions): Promise<void> {
  const { auth, imap, imaps, pop3, certificate, caFile } = options
  const mail = `
    server_name mail.example.test;
    auth_http ${auth.url};
    auth_http_header X-Auth-Key shared-secret;
    auth_http_pass_client_cert on;
    imap_auth plain login;
    pop3_auth plain;
    ssl_certificate ${certificate.certFile};
    ssl_certificate_key ${certificate.keyFile};
    ssl_protocols TLSv1.3;
    server { listen 127.0.0.1:${imap}; protocol imap; }
    server { listen 127.0.0.1:${pop3}; protocol pop3; }
    server { listen 127.0.0.1:${imaps} ssl; protocol imap; ssl_verify_client optional; ssl_client_certificate ${caFile}; }`
  await startNginx(scene, { name: `mail-${imap}`, mail, port: imap })
}
