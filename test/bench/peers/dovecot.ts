/** Dovecot as a login proxy: its login processes relay, its auth process answers `proxy=y` to every user. One login process a protocol. */
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../support/ports.ts'
import { type Door, isBound, type Peer, startProxy, type PeerSetup } from './peer.ts'

const run = promisify(execFile)

const PROGRAM = '/usr/sbin/dovecot'

/** service_count 0: a login process serves many clients, as it has to where sessions stay in it. */
function describeLoginService(protocol: 'imap' | 'pop3', port: number, securePort: number): string {
  return `service ${protocol}-login {
  service_count = 0
  process_min_avail = 1
  process_limit = 1
  client_limit = 12000
  vsz_limit = 0
  inet_listener ${protocol} {
    port = ${port}
  }
  inet_listener ${protocol}s {
    port = ${securePort}
    ssl = ${securePort === 0 ? 'no' : 'yes'}
  }
}`
}

async function buildConfiguration(around: PeerSetup, directory: string, ports: Record<Door, number>): Promise<string> {
  const { backend, certificate } = around
  return `
base_dir = ${directory}/run
state_dir = ${directory}/run
log_path = /dev/null
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <${certificate.certFile}
ssl_key = <${certificate.keyFile}
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = no
auth_mechanisms = plain login
default_client_limit = 20000
${await describeOwner()}
${describeLoginService('imap', ports.imap, ports.imaps)}
${describeLoginService('pop3', ports.pop3, 0)}
# %s is the protocol
passdb {
  driver = static
  args = proxy=y host=127.0.0.1 port=%{if;%s;eq;imap;${backend.imap};${backend.pop3}} nopassword=y
}
`
}

/** Only root may change its user or its root directory. */
async function describeOwner(): Promise<string> {
  if (process.getuid?.() === 0) return ''
  const { username } = userInfo()
  const { stdout: group } = await run('id', ['-gn'])
  const unchrooted = ['anvil', 'imap-login', 'pop3-login'].map((service) => `service ${service} {\n  chroot =\n}\n`)
  return `default_internal_user = ${username}
default_login_user = ${username}
default_internal_group = ${group.trim()}
${unchrooted.join('')}`
}

export const dovecot: Peer = {
  name: 'dovecot',
  packages: ['dovecot-imapd', 'dovecot-pop3d'],
  isCompiled: true,
  remark: 'one login process a protocol, and its helpers: auth, anvil, stats, config, log',
  version: async () => (await run(PROGRAM, ['--version'])).stdout.trim(),
  async start(around) {
    const ports = { imap: await freePort(), imaps: await freePort(), pop3: await freePort() }
    // a unix socket's path may have 107 bytes at most
    const directory = mkdtempSync(join(tmpdir(), 'mailmux-bench-dovecot-'))
    chmodSync(directory, 0o755)
    mkdirSync(join(directory, 'run'))
    const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
    process.once('exit', remove)
    const file = join(directory, 'dovecot.conf')
    await writeFile(file, await buildConfiguration(around, directory, ports))
    const isReady = () => isBound(ports.pop3)
    const { pid, stop } = await startProxy(around.scene, 'dovecot', [PROGRAM, '-F', '-c', file], isReady)
    return {
      pids: [pid],
      ports,
      stop: async () => {
        await stop()
        process.off('exit', remove)
        remove()
      },
    }
  },
}
