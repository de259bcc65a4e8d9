/** After login mailmux is not there: the same conversation, had with Dovecot directly and through mailmux, byte for byte. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import type { MailProtocol } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend } from '../support/mailmux.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer, type ScriptedPeer } from '../support/scripted-peer.ts'

const PASSWORD = 'secret'
/** Two users with copies of the same mailbox; nothing that a session says depends on their names. */
const USERS = {
  imap: { direct: 'one@example.test', proxied: 'two@example.test' },
  pop3: { direct: 'three@example.test', proxied: 'four@example.test' },
}
const ALL_USERS = Object.values(USERS).flatMap(({ direct, proxied }) => [direct, proxied])

const MESSAGES = [
  'Subject: plain\r\nFrom: a@example.test\r\n\r\nHello.\r\n',
  'Subject: dots\r\n\r\n.\r\n..\r\n.leading\r\nend\r\n',
  'Subject: =?utf-8?q?=C3=BC?=\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\u00fc\u00dfe \u2709\r\n',
  `Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n${'QUJD'.repeat(19)}\r\n--x--\r\n`,
  `Subject: long\r\n\r\n${`${'x'.repeat(990)}\r\n`.repeat(300)}`,
]

let scene: Scene
let store: Dovecot
let mailmux: Mailmux
before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  const mailDirectory = join(scene.directory, 'mail')
  for (const user of ALL_USERS) {
    await makeMailbox(join(mailDirectory, user, 'Maildir'), MESSAGES)
    await makeMailbox(join(mailDirectory, user, 'Maildir', '.box with spaces'), [])
  }
  // Dovecot reads mail as nobody where the tests run as root
  if (process.getuid?.() === 0) execFileSync('chown', ['-R', '65534:65534', mailDirectory])
  const users = Object.fromEntries(ALL_USERS.map((user) => [user, PASSWORD]))
  store = await startDovecot(scene, { name: 'store', users, mailDirectory })
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store: toBackend(store) },
    domains: { 'example.test': 'store' },
  })
})
after(() => scene.close())

/** A Maildir in which everything that a client can see is fixed: names, dates, UIDs, UIDVALIDITY. */
async function makeMailbox(maildir: string, messages: readonly string[]): Promise<void> {
  for (const part of ['new', 'cur', 'tmp']) await mkdir(join(maildir, part), { recursive: true })
  const uids = [`3 V1700000000 N${messages.length + 1} G0123456789abcdef0123456789abcdef`]
  for (const [at, message] of messages.entries()) {
    const name = `${1_700_000_000 + at}.message${at}.host`
    const file = join(maildir, 'cur', `${name}:2,${at === 0 ? 'S' : ''}`)
    await writeFile(file, message)
    await utimes(file, 1_700_000_000, 1_700_000_000 + at * 3600)
    uids.push(`${at + 1} :${name}`)
  }
  await writeFile(join(maildir, 'dovecot-uidlist'), `${uids.join('\n')}\n`)
}

/** What the server says, from the answer to the login on. */
type Conversation = (peer: ScriptedPeer, hear: (lines: string[]) => void, user: string) => Promise<void>

async function record(port: number, user: string, converse: Conversation): Promise<string[]> {
  const peer = await connectPeer(scene, { port })
  await peer.readLine()
  const heard: string[] = []
  await converse(peer, (lines) => heard.push(...lines.map(alike)), user)
  await peer.expectClose()
  return heard
}

/** What must differ: Dovecot tells how long commands took, and mailmux keeps referrals out of the answer to the login. */
function alike(line: string): string {
  if (line.startsWith('t1 OK [CAPABILITY ')) return line.replace(' LOGIN-REFERRALS', '')
  return line.replace(/\(\d+\.\d{3} \+ \d+\.\d{3}(?: \+ \d+\.\d{3})? secs\)/, '(its time)')
}

async function assertSame(protocol: MailProtocol, converse: Conversation): Promise<string[]> {
  const { direct, proxied } = USERS[protocol]
  const wanted = await record(store.ports[protocol], direct, converse)
  const got = await record(mailmux.ports[`${protocol}Clear`], proxied, converse)
  assert.deepEqual(got, wanted)
  return got
}

const imap: Conversation = async (peer, hear, user) => {
  let count = 0
  const command = async (text: string): Promise<void> => {
    const tag = `t${++count}`
    peer.send(`${tag} ${text}`)
    hear(await peer.expectUntil(new RegExp(`^${tag} `)))
  }
  await command(`LOGIN ${user} ${PASSWORD}`)
  await command('CAPABILITY')
  await command('NAMESPACE')
  await command('ID ("name" "script")')
  await command('LIST "" "*"')
  await command('SELECT INBOX')
  await command('FETCH 1:* (FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)')
  for (const at of MESSAGES.keys()) await command(`UID FETCH ${at + 1} BODY.PEEK[]`)
  await command('FETCH 5 BODY.PEEK[]<100.70000>')
  await command('FETCH 4 (BINARY.PEEK[2] BODY.PEEK[1])')
  await command('STORE 1:2 +FLAGS (\\Flagged $label)')
  await command('STORE 3 +FLAGS.SILENT (\\Deleted)')
  await command('SEARCH SUBJECT dots')
  await command('UID SEARCH RETURN (MIN MAX COUNT ALL) NOT FLAGGED')
  await command('SEARCH FROM nobody')

  const appended = 'Subject: appended\r\n\r\nbody with {5} and + signs\r\n'
  peer.send(`p APPEND INBOX (\\Seen) "01-Jan-2024 00:00:00 +0000" {${appended.length}}`)
  hear([await peer.expect(/^\+/)])
  peer.send(appended)
  hear(await peer.expectUntil(/^p /))
  peer.sendRaw(`q APPEND INBOX "02-Jan-2024 00:00:00 +0000" {${appended.length}+}\r\n${appended}\r\n`)
  hear(await peer.expectUntil(/^q /))

  peer.send('i IDLE')
  hear([await peer.expect(/^\+/)])
  await store.deliver(user, 'Subject: arrives during IDLE\r\n\r\n')
  hear(await peer.expectUntil(/ RECENT$/))
  peer.send('DONE')
  hear(await peer.expectUntil(/^i /))

  // several at once, one of them cut in the middle of a word
  peer.sendRaw('x NOOP\r\ny FETCH 1:* (FLAGS)\r\nz STAT')
  peer.sendRaw('US INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)\r\n')
  hear(await peer.expectUntil(/^z /))
  await command('NO-SUCH-COMMAND')
  await command('FETCH 999 FLAGS')
  await command('CREATE "box with spaces"') // is there
  await command('CREATE "another box"')
  await command('COPY 1 "box with spaces"')
  await command('MOVE 2 "box with spaces"')
  await command('EXPUNGE')
  await command('ENABLE CONDSTORE')
  await command('CLOSE')
  await command('LOGOUT')
}

const pop3: Conversation = async (peer, hear, user) => {
  const command = async (text: string, ...more: ('.' | undefined)[]): Promise<void> => {
    peer.send(text)
    const first = await peer.readLine()
    hear([first])
    if (more.includes('.') && first.startsWith('+OK')) hear(await peer.expectUntil('.'))
  }
  peer.send(`USER ${user}`)
  await peer.expect(/^\+OK/) // mailmux's own
  await command(`PASS ${PASSWORD}`)
  await command('CAPA', '.')
  await command('STAT')
  await command('LIST', '.')
  await command('LIST 2')
  await command('UIDL', '.')
  await command('UIDL 3')
  for (const at of MESSAGES.keys()) await command(`RETR ${at + 1}`, '.')
  await command('TOP 2 1', '.')
  await command('TOP 5 0', '.')
  await command('DELE 1')
  await command('DELE 1')
  await command('RETR 1', '.')
  await command('RSET')
  await command('STAT')
  await command('RETR 99', '.')
  await command('NO-SUCH-COMMAND')
  await command('NOOP')
  peer.sendRaw('STAT\r\nUIDL 1\r\nLIST 1\r\nDE')
  peer.sendRaw('LE 2\r\n')
  for (let answers = 0; answers < 4; answers++) hear([await peer.readLine()])
  await command('QUIT')
}

describe('a session through mailmux is the store’s own, byte for byte', () => {
  test('by imap, from the answer to LOGIN to the end', async () => {
    const heard = await assertSame('imap', imap)
    for (const mark of [/^t1 OK \[CAPABILITY /, /^\* 6 EXISTS$/, /^\* 8 EXISTS$/, /\$label/, /^\* BYE /]) {
      assert.ok(
        heard.some((line) => mark.test(line)),
        `${mark} was to be in it`,
      )
    }
  })

  test('by pop3, from the answer to PASS to the end', async () => {
    const heard = await assertSame('pop3', pop3)
    assert.ok(heard.includes('..leading'))
    assert.ok(heard.length > 300)
  })

  test('by pop3 once more: what was deleted stays so', async () => {
    const heard = await assertSame('pop3', pop3)
    assert.ok(!heard.includes('..leading'))
  })
})
