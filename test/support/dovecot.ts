/**
 * A real Dovecot as a back end: its own configuration, run directory, users and Maildirs, nothing shared with a system's own.
 * Runs as root (mail then belongs to `nobody`) and as an ordinary user (everything is that user's).
 */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { chown, mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { Leaf } from './certificates.ts'
import { START_DEADLINE_MS, until, within } from './deadline.ts'
import { freePort } from './ports.ts'
import { freezeTree, hangTree, nameOf, signalAll, slowTree } from './process-tree.ts'
import { type Program, startProgram } from './processes.ts'
import type { Scene } from './scene.ts'
import { openTemporaryRoot } from './temporary.ts'

export type DovecotOptions = {
  /** also the word by which its greeting and its marker messages can be told from another's */
  name: string
  /** user name to password */
  users: Record<string, string>
  imapPort?: number
  pop3Port?: number
  /** also serve ManageSieve (dovecot-managesieved), on this port or on a free one */
  sieve?: number | true
  /** offers STARTTLS and STLS with this certificate, and implicit TLS on two more ports */
  certificate?: Leaf
  /** where the mail is kept; default: in the scene's directory. A user that has a Maildir here already gets no new markers. */
  mailDirectory?: string
  /** SASL mechanisms, as Dovecot writes them; default: plain */
  mechanisms?: string
  /** further configuration, after all the rest: what stands twice counts as it stands here */
  extra?: string
  /** where its log goes as well, line by line and across restarts */
  show?: (line: string) => void
}

export type Dovecot = {
  name: string
  /** for doveadm */
  configFile: string
  ports: {
    imap: number
    pop3: number
    imaps: number | undefined
    pop3s: number | undefined
    managesieve: number | undefined
  }
  /** Puts a message into a user's INBOX as a mail server would: written aside, then renamed into `new`. */
  deliver: (user: string, message: string | Buffer) => Promise<void>
  /** what it has logged so far: logins with their users and addresses, errors */
  log: () => string
  /** All its processes hold their connections and do nothing, like a machine that hangs; those that it starts meanwhile too. Gives how to let them go on. */
  hang: () => () => void
  /** All its processes run a tenth of the time, as on a machine with too much to do. Gives how to end that. */
  slow: () => () => void
  stop: () => Promise<void>
  /** All its processes die at once, as when a machine loses its power; what they have logged is read first. */
  kill: () => Promise<void>
  restart: () => Promise<void>
}

/** The subject of the message that waits in the INBOX of each user: it proves on which store a client has arrived. */
export function markerSubject(store: string, user: string): string {
  return `You are on ${store}, ${user}`
}

/** Debian keeps Dovecot where only root's PATH looks. */
const PROGRAM = '/usr/sbin/dovecot'

/** Starts a Dovecot and waits for the greetings of both protocols. `scene.close()` ends it and removes what it made, the mail of a `mailDirectory` excepted. */
export async function startDovecot(scene: Scene, options: DovecotOptions): Promise<Dovecot> {
  // A unix socket's path may have 107 bytes at most, and a checkout may lie deep: the run directory is never inside it.
  const directory = mkdtempSync(join(openTemporaryRoot(), `mailmux-${options.name}-`))
  chmodSync(directory, 0o755)
  const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  process.once('exit', remove)
  scene.closeLater(() => {
    process.off('exit', remove)
    remove()
  })

  const mailDirectory = options.mailDirectory ?? join(directory, 'mail')
  const secured = options.certificate !== undefined
  const ports = {
    imap: options.imapPort ?? (await freePort()),
    pop3: options.pop3Port ?? (await freePort()),
    imaps: secured ? await freePort() : undefined,
    pop3s: secured ? await freePort() : undefined,
    managesieve: options.sieve === true ? await freePort() : options.sieve,
  }
  await mkdir(join(directory, 'run'), { recursive: true })
  await writeFile(join(directory, 'dovecot.conf'), configuration(directory, mailDirectory, ports, options))
  const passwords = Object.entries(options.users).map(([user, password]) => `${user}:{PLAIN}${password}\n`)
  await writeFile(join(directory, 'users'), passwords.join(''))

  const deliver = async (user: string, message: string | Buffer) => {
    const maildir = await makeMaildir(mailDirectory, user)
    const file = `${Date.now()}.${randomUUID()}.mailmux`
    await writeFile(join(maildir, 'tmp', file), message)
    await own(join(maildir, 'tmp', file))
    await rename(join(maildir, 'tmp', file), join(maildir, 'new', file))
  }
  const present: string[] = await readdir(mailDirectory).catch(() => [])
  for (const user of Object.keys(options.users)) {
    if (!present.includes(user)) await deliver(user, markerMessage(options.name, user))
  }
  // Mail of an earlier run by another user must belong to Dovecot's too.
  if (root && present.length > 0) execFileSync('chown', ['-R', `${mailOwner.uid}:${mailOwner.gid}`, mailDirectory])

  const start = async () => {
    const started = startProgram(scene, {
      name: options.name,
      command: PROGRAM,
      args: ['-F', '-c', join(directory, 'dovecot.conf')],
      ...(options.show === undefined ? {} : { show: options.show }),
    })
    await greeting(started, ports.imap)
    await greeting(started, ports.pop3)
    if (ports.managesieve !== undefined) await greeting(started, ports.managesieve)
    return started
  }
  let program = await start()

  return {
    name: options.name,
    configFile: join(directory, 'dovecot.conf'),
    ports,
    deliver,
    log: () => program.stderr(),
    hang: () => hangTree(program.pid),
    slow: () => slowTree(program.pid),
    stop: async () => {
      await program.stop()
    },
    kill: async () => {
      const all = freezeTree(program.pid)
      // Its log process reads what the others have said, and ends when none of them holds the other end of its pipes.
      const logger = all.filter((pid) => nameOf(pid) === 'log')
      signalAll(
        all.filter((pid) => !logger.includes(pid)),
        'SIGKILL',
      )
      signalAll(logger, 'SIGCONT')
      await within(5_000, program.exited, () => `${options.name} does not die`)
    },
    restart: async () => {
      program = await start()
    },
  }
}

const root = process.getuid?.() === 0
// Dovecot refuses to open a mailbox as root
const mailOwner = { uid: root ? 65_534 : userInfo().uid, gid: root ? 65_534 : userInfo().gid }

async function own(path: string): Promise<void> {
  if (root) await chown(path, mailOwner.uid, mailOwner.gid)
}

async function makeMaildir(mailDirectory: string, user: string): Promise<string> {
  const maildir = join(mailDirectory, user, 'Maildir')
  for (const part of ['new', 'cur', 'tmp']) await mkdir(join(maildir, part), { recursive: true })
  for (const path of ['..', '.', 'new', 'cur', 'tmp']) await own(join(maildir, path))
  return maildir
}

/** The message that carries the marker. */
export function markerMessage(store: string, user: string): string {
  return [
    'From: Post Office <post@example.test>',
    `To: ${user}`,
    `Subject: ${markerSubject(store, user)}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${randomUUID()}@${store}.example.test>`,
    '',
    `This mailbox lives on ${store}.`,
    '',
  ].join('\r\n')
}

/** Waits until the port greets: an open port alone may still be a login process that is starting. */
async function greeting(program: Program, port: number): Promise<void> {
  await until(
    START_DEADLINE_MS,
    () => {
      if (program.exit() !== undefined) throw new Error(`${program.name} ended at once: ${program.stderr()}`)
      return firstBytes(port)
    },
    () => `${program.name} does not greet on port ${port}: ${program.stderr()}`,
  )
}

function firstBytes(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.setTimeout(5_000, () => socket.destroy())
    socket.once('data', (bytes) => {
      resolve(bytes.toString())
      socket.destroy()
    })
    socket.once('error', () => resolve(undefined))
    socket.once('close', () => resolve(undefined))
  })
}

function configuration(
  directory: string,
  mailDirectory: string,
  ports: Dovecot['ports'],
  { name, certificate, mechanisms = 'plain', extra = '' }: DovecotOptions,
): string {
  const me = userInfo()
  const tls =
    certificate === undefined
      ? 'ssl = no'
      : `ssl = yes
ssl_cert = <${certificate.certFile}
ssl_key = <${certificate.keyFile}`
  // Only root may change its user or its root directory
  const unprivileged = root
    ? ''
    : `default_internal_user = ${me.username}
default_login_user = ${me.username}
default_internal_group = ${execFileSync('id', ['-gn'], { encoding: 'utf8' }).trim()}
service anvil {
  chroot =
}
service imap-login {
  chroot =
}
service pop3-login {
  chroot =
}
${ports.managesieve === undefined ? '' : 'service managesieve-login {\n  chroot =\n}\n'}`
  return `# made by test/support/dovecot.ts
base_dir = ${join(directory, 'run')}
state_dir = ${join(directory, 'run')}
log_path = /dev/stderr
protocols = imap pop3${ports.managesieve === undefined ? '' : ' sieve'}
listen = 127.0.0.1
login_greeting = ${name} ready.
${tls}
disable_plaintext_auth = no
auth_mechanisms = ${mechanisms}
mail_location = maildir:~/Maildir
# where inotify has no more instances to give, IDLE looks by itself this often
mailbox_idle_check_interval = 2 secs
mail_max_userip_connections = 5000
first_valid_uid = 1
# a wrong password is answered at once, and the next one too
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
# 1,200 sessions at once: one process for the logins, one a session afterwards
default_process_limit = 1500
default_client_limit = 4000
service imap-login {
  service_count = 0
  process_min_avail = 1
  process_limit = 2
  client_limit = 3000
  ${inetListeners('imap', ports.imap, ports.imaps)}
}
service pop3-login {
  service_count = 0
  process_min_avail = 1
  process_limit = 2
  client_limit = 3000
  ${inetListeners('pop3', ports.pop3, ports.pop3s)}
}
${sieveService(ports.managesieve)}service imap {
  process_limit = 1500
}
service pop3 {
  process_limit = 1500
}
passdb {
  driver = passwd-file
  args = ${join(directory, 'users')}
}
userdb {
  driver = static
  args = uid=${mailOwner.uid} gid=${mailOwner.gid} home=${mailDirectory}/%u
}
${unprivileged}
${extra}
`
}

function inetListeners(protocol: string, port: number, securePort: number | undefined): string {
  return `inet_listener ${protocol} {
    port = ${port}
  }
  inet_listener ${protocol}s {
    port = ${securePort ?? 0}
    ssl = ${securePort === undefined ? 'no' : 'yes'}
  }`
}

/** The personal scripts are in the user's home; every user has a script of their own. */
function sieveService(port: number | undefined): string {
  if (port === undefined) return ''
  return `service managesieve-login {
  service_count = 0
  process_min_avail = 1
  process_limit = 2
  client_limit = 3000
  inet_listener sieve {
    port = ${port}
  }
}
plugin {
  sieve = file:~/sieve;active=~/.dovecot.sieve
}
`
}
