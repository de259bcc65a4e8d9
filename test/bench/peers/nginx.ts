/** nginx's mail proxy, one worker; auth_http is answered by an http server in the same worker, so its CPU counts. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../support/ports.ts'
import { type Door, isBound, type Peer, startProxy, type PeerSetup } from './peer.ts'

const run = promisify(execFile)

/** Debian keeps nginx where only root's PATH looks. */
const PROGRAM = '/usr/sbin/nginx'

async function readModulesPath(): Promise<string> {
  const { stderr } = await run(PROGRAM, ['-V'])
  const modules = /--modules-path=(\S+)/.exec(stderr)?.[1]
  if (modules === undefined) throw new Error('nginx -V names no modules path')
  return modules
}

type Ports = Record<Door | 'auth', number>

/**
 * Every path that nginx would write to lies in its directory; logs are written, at the level of mailmux's, to /dev/null.
 * Auth-Port is the back end's for the protocol, which nginx tells its auth server.
 */
function buildConfiguration(modules: string, around: PeerSetup, ports: Ports): string {
  return `
load_module ${modules}/ngx_mail_module.so;
daemon off;
pid nginx.pid;
worker_processes 1;
error_log /dev/null info;
events { worker_connections 24000; }
http {
  access_log off;
  map $http_auth_protocol $auth_port { imap ${around.backend.imap}; pop3 ${around.backend.pop3}; }
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  server {
    listen 127.0.0.1:${ports.auth};
    location / {
      add_header Auth-Status OK;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port $auth_port;
      return 204;
    }
  }
}
mail {
  server_name localhost;
  auth_http 127.0.0.1:${ports.auth}/;
  imap_capabilities IMAP4rev1 SASL-IR LITERAL+;
  imap_auth login plain;
  pop3_auth plain;
  ssl_certificate ${around.certificate.certFile};
  ssl_certificate_key ${around.certificate.keyFile};
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache none;
  server { listen 127.0.0.1:${ports.imap} backlog=4096; protocol imap; }
  server { listen 127.0.0.1:${ports.imaps} ssl backlog=4096; protocol imap; }
  server { listen 127.0.0.1:${ports.pop3} backlog=4096; protocol pop3; }
}
`
}

export const nginx: Peer = {
  name: 'nginx',
  packages: ['nginx', 'libnginx-mod-mail'],
  isCompiled: true,
  remark: 'one worker, and its master; each login asks auth_http, which the same worker answers',
  version: async () => (await run(PROGRAM, ['-v'])).stderr.trim().replace('nginx version: ', ''),
  async start(around) {
    const ports = {
      imap: await freePort(),
      imaps: await freePort(),
      pop3: await freePort(),
      auth: await freePort(),
    }
    const directory = join(around.scene.directory, `nginx-${ports.imap}`)
    await mkdir(join(directory, 'tmp'), { recursive: true })
    const file = join(directory, 'nginx.conf')
    await writeFile(file, buildConfiguration(await readModulesPath(), around, ports))
    const command = [PROGRAM, '-p', directory, '-e', '/dev/null', '-c', file]
    const { pid, stop } = await startProxy(around.scene, 'nginx', command, () => isBound(ports.pop3))
    return { pids: [pid], ports: { imap: ports.imap, imaps: ports.imaps, pop3: ports.pop3 }, stop }
  },
}
