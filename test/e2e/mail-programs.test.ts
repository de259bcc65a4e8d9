/** The mail programs that people run, from Debian's packages: each fetches its mail over verified TLS, from a configuration file of its own. */
import assert from 'node:assert/strict'
import { chmod, chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ImapFlow } from 'imapflow'
import { makeAuthority } from '../support/certificates.ts'
import { markerSubject } from '../support/dovecot.ts'
import type { MailProtocol } from '../support/mail-client.ts'
import { run, type RunResult } from '../support/run.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const ALICE = 'alice@example.test'
const MARKER = `Subject: ${markerSubject('store1', ALICE)}`
/** The certificate carries this name, and every program checks that. */
const HOST = 'localhost'

type Door = { protocol: MailProtocol; implicit: boolean; port: number }
/** A program's files, and how it is run on them. */
type Errand = { home: string; caFile: string; door: Door }

let site: Site
let otherCa: string
before(async () => {
  site = await startSite()
  const elsewhere = join(site.scene.directory, 'elsewhere')
  await mkdir(elsewhere)
  otherCa = (await makeAuthority(elsewhere)).caFile
})
after(() => site.close())

const doors = (): Door[] => [
  { protocol: 'imap', implicit: true, port: site.mailmux.ports.imaps },
  { protocol: 'imap', implicit: false, port: site.mailmux.ports.imap },
  { protocol: 'pop3', implicit: true, port: site.mailmux.ports.pop3s },
  { protocol: 'pop3', implicit: false, port: site.mailmux.ports.pop3 },
]

let errands = 0
async function newErrand(door: Door, caFile: string): Promise<Errand> {
  const home = join(site.scene.directory, `errand-${++errands}`)
  await mkdir(home)
  return { home, caFile, door }
}

/** Runs a program with an empty home of its own, so that no setting of the machine's user counts. */
const runIn = (home: string, command: string, args: string[], ms = 20_000): Promise<RunResult> =>
  run('env', [`HOME=${home}`, 'TERM=xterm', 'LC_ALL=C.UTF-8', command, ...args], { ms })

/** Writes a file that holds a password: some programs refuse to read one that others can. */
async function writeSecret(file: string, text: string): Promise<void> {
  await writeFile(file, text)
  await chmod(file, 0o600)
}

/** All that a program has put into its home, in one text. */
async function fetchedInto(directory: string): Promise<string> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return (await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name), 'latin1')))).join('\n')
}

/** isync 1.4 speaks IMAP alone. */
async function mbsync({ home, caFile, door }: Errand): Promise<RunResult> {
  const mail = join(home, 'mail')
  await mkdir(mail)
  await writeSecret(
    join(home, '.mbsyncrc'),
    `IMAPAccount mailmux
Host ${HOST}
Port ${door.port}
User ${ALICE}
Pass ${PASSWORD}
SSLType ${door.implicit ? 'IMAPS' : 'STARTTLS'}
SystemCertificates no
CertificateFile ${caFile}

IMAPStore far
Account mailmux

MaildirStore near
Path ${mail}/
Inbox ${mail}/INBOX

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Sync Pull
SyncState *
`,
  )
  return runIn(home, 'mbsync', ['--all'])
}

async function fetchmail({ home, caFile, door }: Errand): Promise<RunResult> {
  await mkdir(join(home, 'mail'))
  await writeSecret(
    join(home, '.fetchmailrc'),
    `poll ${HOST} protocol ${door.protocol} port ${door.port}
user "${ALICE}" password "${PASSWORD}"
${door.implicit ? 'ssl' : 'sslproto "TLS1.2+"'} sslcertck sslcertfile "${caFile}" sslcertpath "${home}"
keep fetchall mda "/bin/sh -c 'cat >> ${home}/mail/inbox'"
`,
  )
  return runIn(home, 'fetchmail', ['--nodetach', '--nosyslog', '--fetchmailrc', join(home, '.fetchmailrc')])
}

const isRoot = process.getuid?.() === 0
const NOBODY = 65_534

/** getmail has no STARTTLS, and delivers to root no mail. */
async function getmail({ home, caFile, door }: Errand): Promise<RunResult> {
  for (const part of ['new', 'cur', 'tmp']) {
    await mkdir(join(home, 'mail', part), { recursive: true })
    if (isRoot) await chown(join(home, 'mail', part), NOBODY, NOBODY)
  }
  await writeSecret(
    join(home, 'getmailrc'),
    `[retriever]
type = Simple${door.protocol.toUpperCase()}SSLRetriever
server = ${HOST}
port = ${door.port}
username = ${ALICE}
password = ${PASSWORD}
ca_certs = ${caFile}

[destination]
type = Maildir
path = ${home}/mail/
${isRoot ? 'user = nobody' : ''}

[options]
read_all = true
delete = false
`,
  )
  return runIn(home, 'getmail', [`--getmaildir=${home}`, '--rcfile=getmailrc'])
}

/** A program for the screen: util-linux's script gives it one, and the keys come from its configuration. */
async function neomutt({ home, caFile, door }: Errand): Promise<RunResult> {
  await mkdir(join(home, 'mail'))
  await writeSecret(
    join(home, 'neomuttrc'),
    `set folder = "${home}/mail"
set spoolfile = "${door.protocol === 'imap' ? 'imap' : 'pop'}${door.implicit ? 's' : ''}://${HOST}:${door.port}/"
set imap_user = "${ALICE}"
set imap_pass = "${PASSWORD}"
set pop_user = "${ALICE}"
set pop_pass = "${PASSWORD}"
set ssl_force_tls = yes
set ssl_starttls = yes
set ssl_use_system_certs = no
set certificate_file = "${caFile}"
set mbox_type = Maildir
set confirmcreate = no
set confirmappend = no
set pop_delete = no
set wait_key = no
set quit = yes
set move = no
push "<tag-pattern>~A<enter><tag-prefix-cond><copy-message>${home}/mail/copy<enter><end-cond><exit>"
`,
  )
  // It asks its user about a certificate that it does not trust, and nobody answers
  return runIn(home, 'script', ['-qec', `neomutt -n -F ${home}/neomuttrc`, '/dev/null'], 5_000)
}

async function curl({ home, caFile, door }: Errand): Promise<RunResult> {
  await mkdir(join(home, 'mail'))
  await writeSecret(
    join(home, 'curlrc'),
    `url = "${door.protocol}${door.implicit ? 's' : ''}://${HOST}:${door.port}/${door.protocol === 'imap' ? 'INBOX;UID=1' : '1'}"
user = "${ALICE}:${PASSWORD}"
cacert = "${caFile}"
ssl-reqd
silent
show-error
max-time = 15
output = "${home}/mail/message"
`,
  )
  return runIn(home, 'curl', ['--disable', '--config', join(home, 'curlrc')])
}

const PROGRAMS = [
  { name: 'mbsync', fetch: mbsync, takes: ({ protocol }: Door) => protocol === 'imap' },
  { name: 'fetchmail', fetch: fetchmail, takes: () => true },
  { name: 'getmail', fetch: getmail, takes: ({ implicit }: Door) => implicit },
  { name: 'neomutt', fetch: neomutt, takes: () => true },
  { name: 'curl', fetch: curl, takes: () => true },
]

for (const { name, fetch, takes } of PROGRAMS) {
  describe(name, () => {
    for (const protocol of PROTOCOLS) {
      for (const security of ['implicit TLS', 'STARTTLS'] as const) {
        const asked = { protocol, implicit: security === 'implicit TLS', port: 0 }
        if (!takes(asked)) continue
        test(`fetches its mail by ${protocol} (${security})`, async () => {
          const door = doors().find((one) => one.protocol === protocol && one.implicit === asked.implicit)!
          const errand = await newErrand(door, site.authority.caFile)
          const { code, stdout, stderr } = await fetch(errand)
          assert.equal(code, 0, stdout + stderr)
          const mail = await fetchedInto(join(errand.home, 'mail'))
          assert.ok(mail.includes(MARKER), `${stdout}${stderr}\n${mail}`)
        })
      }
    }

    test('fetches nothing where it does not trust the certificate', async () => {
      const door = doors().find(takes)!
      const errand = await newErrand(door, otherCa)
      const { stdout, stderr } = await fetch(errand)
      const mail = await fetchedInto(join(errand.home, 'mail'))
      assert.ok(!mail.includes(MARKER), stdout + stderr)
    })
  })
}

describe('imapflow', () => {
  for (const secure of [true, false]) {
    test(`fetches its mail by imap (${secure ? 'implicit TLS' : 'STARTTLS'})`, async () => {
      const client = new ImapFlow({
        host: HOST,
        port: secure ? site.mailmux.ports.imaps : site.mailmux.ports.imap,
        secure,
        doSTARTTLS: !secure,
        auth: { user: ALICE, pass: PASSWORD },
        tls: { ca: site.authority.ca },
        logger: false,
      })
      await client.connect()
      await client.mailboxOpen('INBOX')
      const message = await client.fetchOne('1', { source: true })
      assert.ok(message !== false && message.source?.toString().includes(MARKER))
      await client.logout()
    })
  }
})
