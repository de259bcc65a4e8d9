/**
 * A real Cyrus as a back end, a second kind of server beside Dovecot: its own configuration, databases and mail, nothing shared with
 * a system's own. Unpacked by cyrus.sh, as its packages cannot be installed where Dovecot's are.
 */
import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { lchown, cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Leaf } from './certificates.ts'
import { START_DEADLINE_MS, until } from './deadline.ts'
import { markerMessage } from './dovecot.ts'
import { freePort } from './ports.ts'
import { startProgram } from './processes.ts'
import type { Scene } from './scene.ts'
import { connectPeer } from './scripted-peer.ts'
import { openTemporaryRoot } from './temporary.ts'

const RUNTIME = join(import.meta.dirname, '../../.runtime/cyrus')
/** Where `directory` has a copy of what was unpacked: its user may not be allowed into the checkout. */
const programsIn = (directory: string): string => join(directory, 'programs/usr/lib')
const run = promisify(execFile)

const root = process.getuid?.() === 0
const owner = root ? { name: 'nobody', uid: 65_534, gid: 65_534 } : { name: userInfo().username, uid: -1, gid: -1 }

export type Cyrus = {
  name: string
  ports: { imap: number; pop3: number; managesieve: number }
  /** for its own test clients, such as sivtest */
  programs: { directory: string; env: NodeJS.ProcessEnv }
}

export type CyrusOptions = {
  name: string
  /** user name with its domain to password; each INBOX gets its marker */
  users: Record<string, string>
  /** may manage everybody's mailboxes, and has none; Cyrus offers UNAUTHENTICATE to it alone */
  admin?: { user: string; password: string }
  /** offers STARTTLS with this certificate */
  certificate?: Leaf
}

/** Starts a Cyrus and puts a marker into each INBOX. `scene.close()` ends it and removes what it made. */
export async function startCyrus(scene: Scene, { name, users, admin, certificate }: CyrusOptions): Promise<Cyrus> {
  await run(join(import.meta.dirname, 'cyrus.sh'), [RUNTIME]) // at once where that is done
  // Unix sockets in it: the path has to be short
  const directory = mkdtempSync(join(openTemporaryRoot(), `mailmux-${name}-`))
  chmodSync(directory, 0o755)
  const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', remove)
  scene.closeLater(() => {
    process.off('exit', remove)
    remove()
  })

  await cp(RUNTIME, join(directory, 'programs'), { recursive: true, verbatimSymlinks: true })
  for (const part of ['lib/db', 'lib/proc', 'lib/socket', 'lib/log', 'lib/msg', 'mail', 'sieve']) {
    await mkdir(join(directory, part), { recursive: true })
  }
  const logins = [...Object.entries(users), ...(admin === undefined ? [] : [[admin.user, admin.password] as const])]
  for (const [user, password] of logins) await addUser(join(directory, 'sasldb2'), user, password)
  const ports = { imap: await freePort(), pop3: await freePort(), managesieve: await freePort() }
  await writeFile(
    join(directory, 'imapd.conf'),
    settings(directory, name, admin?.user) + (await tlsSettings(directory, certificate)),
  )
  await writeFile(join(directory, 'cyrus.conf'), services(directory, ports))
  if (root) {
    // The links among the unpacked files lead out of them, to what an installation would have made.
    await lchown(directory, owner.uid, owner.gid)
    for (const part of await readdir(directory, { recursive: true })) {
      await lchown(join(directory, part), owner.uid, owner.gid)
    }
  }

  const env = { ...process.env, LD_LIBRARY_PATH: await libraries(programsIn(directory)) }
  const program = startProgram(scene, {
    name,
    // In a process group of its own: where it ends, it sends SIGTERM to all of its group.
    command: 'setsid',
    args: [
      join(programsIn(directory), 'cyrus/bin/master'),
      '-D',
      '-C',
      join(directory, 'imapd.conf'),
      '-M',
      join(directory, 'cyrus.conf'),
      '-p',
      join(directory, 'pid'),
    ],
    cwd: directory,
    env,
  })
  const cyrus = { name, ports, programs: { directory: join(programsIn(directory), 'cyrus/bin'), env } }
  for (const user of Object.keys(users)) {
    await until(
      START_DEADLINE_MS,
      async () => {
        if (program.exit() !== undefined) throw new Error(`${name} ended at once: ${program.stderr()}`)
        return deliver(scene, cyrus, user, users[user]!).catch(() => undefined)
      },
      () => `${name} takes no mail for ${user}: ${program.stderr()}`,
    )
  }
  return cyrus
}

/** By IMAP, which makes the mailbox too. */
async function deliver(scene: Scene, { name, ports }: Cyrus, user: string, password: string): Promise<true> {
  const peer = await connectPeer(scene, { port: ports.imap })
  await peer.expect(/^\* OK/)
  await peer.ask(`a LOGIN ${user} ${password}`, /^a OK/)
  const message = markerMessage(name, user)
  await peer.ask(`b APPEND INBOX {${message.length}}`, /^\+/)
  peer.send(message)
  await peer.expectUntil(/^b OK/)
  peer.send('c LOGOUT')
  await peer.expectUntil(/^c OK/)
  return true
}

async function addUser(database: string, user: string, password: string): Promise<void> {
  const [local = '', domain = ''] = user.split('@')
  const done = run('/usr/sbin/saslpasswd2', ['-p', '-c', '-f', database, '-u', domain, local])
  done.child.stdin?.end(password)
  await done
}

/** Debian keeps them in a directory named after the machine's kind. */
async function libraries(programs: string): Promise<string> {
  const entries = await readdir(programs)
  return join(programs, entries.find((entry) => entry.endsWith('-linux-gnu')) ?? '')
}

function settings(directory: string, name: string, admin = 'nobody-at-all'): string {
  return `# made by test/support/cyrus.ts
configdirectory: ${directory}/lib
partition-default: ${directory}/mail
defaultpartition: default
sievedir: ${directory}/sieve
cyrus_user: ${owner.name}
servername: ${name}
admins: ${admin}
virtdomains: userid
unixhierarchysep: yes
altnamespace: yes
# a mailbox for whoever logs in
autocreate_quota: 0
allowplaintext: yes
failedloginpause: 0
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: ${directory}/sasldb2
sasl_mech_list: PLAIN LOGIN
`
}

/** Copies that its user may read. */
async function tlsSettings(directory: string, certificate: Leaf | undefined): Promise<string> {
  if (certificate === undefined) return ''
  await cp(certificate.certFile, join(directory, 'cert.pem'))
  await cp(certificate.keyFile, join(directory, 'key.pem'))
  return `tls_server_cert: ${directory}/cert.pem\ntls_server_key: ${directory}/key.pem\n`
}

function services(directory: string, ports: Cyrus['ports']): string {
  const command = (program: string, ...args: string[]): string =>
    `cmd="${[join(programsIn(directory), 'cyrus/bin', program), '-C', join(directory, 'imapd.conf'), ...args].join(' ')}"`
  return `# made by test/support/cyrus.ts
START {
  recover ${command('ctl_cyrusdb', '-r')}
}
SERVICES {
  imap ${command('imapd')} listen="127.0.0.1:${ports.imap}" prefork=1
  pop3 ${command('pop3d')} listen="127.0.0.1:${ports.pop3}" prefork=1
  sieve ${command('timsieved')} listen="127.0.0.1:${ports.managesieve}" prefork=1
}
EVENTS {
}
`
}
