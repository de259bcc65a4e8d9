/** contrib/dsync-move between two real Dovecots, run by `mailmux move`: what clients see on the new store is what they left on the old. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { chown, chmod, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { run, type RunResult } from '../support/run.ts'
import { openScene } from '../support/scene.ts'
import { directoryConnected, instancesListed, PASSWORD } from '../support/site.ts'

const ANN = 'ann@example.test'
const BOB = 'bob@example.test'
const [NODE = '', ...NODE_OPTIONS] = NODE_OF_COMMAND
const SCRIPT = join(import.meta.dirname, '../../contrib/dsync-move')
const NOBODY = 65_534

const scene = openScene()
let stores: [Dovecot, Dovecot]
let redis: Redis
let mailmux: Mailmux
let conf: string

async function startStore(name: string, port: number): Promise<Dovecot> {
  const extra = `doveadm_password = of-dsync
doveadm_password = of-dsync
service doveadm {
  inet_listener {
    address = 127.0.0.1
    port = ${port}
  }
}
`
  const store = await startDovecot(scene, { name, users: { [ANN]: PASSWORD, [BOB]: PASSWORD }, extra })
  scene.closeLater(() => store.stop())
  if (process.getuid?.() === 0) await chown(mailOf(store), NOBODY, NOBODY) // it creates the mailboxes of further users
  return store
}

const mailOf = (store: Dovecot): string => join(dirname(store.configFile), 'mail')

before(async () => {
  const certificate = await (await makeAuthority(scene.directory)).issue('mailmux')
  const ports = [await freePort(), await freePort()]
  stores = [await startStore('store1', ports[0]!), await startStore('store2', ports[1]!)]
  for (const user of await readdir(mailOf(stores[1]))) rmSync(join(mailOf(stores[1]), user), { recursive: true })
  redis = await startRedis(scene)
  for (const user of [ANN, BOB]) await redis.command('HSET', `mailmux:user:${user}`, 'backend', 'store1')
  mailmux = await startMailmux(scene, {
    certificate,
    backends: { store1: toBackend(stores[0]), store2: toBackend(stores[1]) },
    directory: { redis: { url: redis.url, prefix: 'mailmux:', timeout: '500ms' } },
  })
  await directoryConnected(mailmux)
  await instancesListed(redis)
  conf = join(scene.directory, 'dsync-move.conf')
  // A shell in between, as ssh has one at the other end.
  await writeFile(
    conf,
    `doveadm_on() {
  case $1 in store1) file=${stores[0].configFile} ;; store2) file=${stores[1].configFile} ;; esac
  shift
  sh -c "doveadm -c $file $(quote "$@")"
}
dsync_address() { case $1 in store1) echo tcp:127.0.0.1:${ports[0]} ;; store2) echo tcp:127.0.0.1:${ports[1]} ;; esac; }
`,
  )
  await chmod(conf, 0o644)
})
after(() => scene.close())

function move(user: string, to: string): Promise<RunResult> {
  const command = `DSYNC_MOVE_CONF=${conf} ${SCRIPT}`
  const args = [...NODE_OPTIONS, MAIN, 'move', user, to, '--run', command, '-c', mailmux.configFile]
  return run(NODE, args, { ms: 120_000 })
}

async function openImap(user: string) {
  const client = await openMailClient(scene, 'imap', mailmux.ports.imapClear, 'clear', {})
  assert.ok((await client.login(`"${user}"`, PASSWORD)).accepted)
  const ask = async (tag: string, command: string): Promise<string[]> => {
    client.peer.send(`${tag} ${command}`)
    return client.peer.expectUntil(new RegExp(`^${tag} OK`))
  }
  return { ...client, ask }
}

/** UIDVALIDITY, UIDs and flags. */
async function mailboxOf(user: string, mailbox: string): Promise<string[]> {
  const { ask, quit } = await openImap(user)
  const status = await ask('s', `STATUS ${mailbox} (MESSAGES UIDNEXT UIDVALIDITY)`)
  await ask('e', `EXAMINE ${mailbox}`)
  const messages = await ask('f', 'FETCH 1:* (UID FLAGS RFC822.SIZE)')
  await quit()
  const lines = [...status, ...messages].filter((line) => line.startsWith('* STATUS') || line.includes(' FETCH '))
  return lines.map((line) => line.replace(/ ?\\Recent/, ''))
}

test('a client with QRESYNC hears on the new store what was expunged before the first copy', async () => {
  for (let number = 1; number <= 9; number++) await stores[0].deliver(ANN, `Subject: m${number}\r\n\r\nx\r\n`)
  const client = await openImap(ANN)
  await client.ask('c', 'CREATE "Old mail"')
  await client.ask('u', 'SUBSCRIBE "Old mail"')
  const selected = (await client.ask('s', 'SELECT INBOX (CONDSTORE)')).join('\n')
  const validity = /UIDVALIDITY (\d+)/.exec(selected)![1]
  const modseq = /HIGHESTMODSEQ (\d+)/.exec(selected)![1]
  await client.ask('y', 'COPY 1:3 "Old mail"')
  await client.ask('x', 'STORE 3,6:7 +FLAGS (\\Deleted)')
  await client.ask('g', 'STORE 1 +FLAGS (\\Answered work)')
  await client.ask('p', 'EXPUNGE')
  await client.quit()
  const before = [await mailboxOf(ANN, 'INBOX'), await mailboxOf(ANN, '"Old mail"')]

  const { code, stdout, stderr } = await move(ANN, 'store2')
  assert.equal(code, 0, `${stdout}${stderr}`)
  assert.equal(await redis.command('HGET', `mailmux:user:${ANN}`, 'backend'), 'store2')
  assert.deepEqual([await mailboxOf(ANN, 'INBOX'), await mailboxOf(ANN, '"Old mail"')], before)

  const again = await openImap(ANN)
  await again.ask('e', 'ENABLE QRESYNC')
  const resync = await again.ask('s', `SELECT INBOX (QRESYNC (${validity} ${modseq} 1:10))`)
  const vanished = resync.find((line) => line.startsWith('* VANISHED (EARLIER)'))
  assert.equal(vanished, '* VANISHED (EARLIER) 3,6:7')
  assert.ok((await again.ask('l', 'LSUB "" *')).some((line) => line.includes('Old mail')))
  await again.quit()
})

test('refuses a target with an INBOX of its own, and leaves that as it is', async () => {
  // As after a login there: Dovecot creates the mailbox.
  const stray = await openMailClient(scene, 'imap', stores[1].ports.imap, 'clear', {})
  assert.ok((await stray.login(`"${BOB}"`, PASSWORD)).accepted)
  stray.peer.send('s SELECT INBOX')
  await stray.peer.expectUntil(/^s OK/)
  await stray.quit()
  await stores[1].deliver(BOB, 'Subject: only here\r\n\r\nx\r\n')
  const { code, stderr } = await move(BOB, 'store2')
  assert.equal(code, 1)
  assert.match(stderr, /not moved: copy: .*has an INBOX on store2 that is no copy of the one on store1/)
  assert.equal((await readdir(join(mailOf(stores[1]), BOB, 'Maildir/new'))).length, 1)

  rmSync(join(mailOf(stores[1]), BOB), { recursive: true })
  const before = await mailboxOf(BOB, 'INBOX')
  const second = await move(BOB, 'store2')
  assert.equal(second.code, 0, second.stderr)
  assert.deepEqual(await mailboxOf(BOB, 'INBOX'), before)
})

test('says what is missing in its configuration', async () => {
  const env = 'MAILMUX_USER=u MAILMUX_FROM=a MAILMUX_TO=b MAILMUX_PASS=1'
  const { code, stderr } = await run('sh', ['-c', `${env} DSYNC_MOVE_CONF=/no/such/file ${SCRIPT}`])
  assert.equal(code, 1)
  assert.equal(stderr, 'dsync-move: /no/such/file cannot be read\n')
})

test('refuses an address without a scheme, before anything is copied', async () => {
  const wrong = join(scene.directory, 'wrong.conf')
  const file = join(scene.directory, 'doveadm')
  await writeFile(wrong, `doveadm_on() { echo "$@" >> ${file}; }\ndsync_address() { echo 127.0.0.1:1; }\n`)
  const env = 'MAILMUX_USER=u MAILMUX_FROM=a MAILMUX_TO=b MAILMUX_PASS=1'
  const { code, stderr } = await run('sh', ['-c', `${env} DSYNC_MOVE_CONF=${wrong} ${SCRIPT}`])
  assert.equal(code, 1)
  assert.equal(
    stderr,
    'dsync-move: dsync_address prints 127.0.0.1:1 for b, which is neither tcp:HOST:PORT nor tcps:HOST:PORT\n',
  )
  await assert.rejects(readFile(file), { code: 'ENOENT' })
})

test('leaves the copy as it is if the mailbox on the old store was removed between two passes', async () => {
  const [conf, file] = [join(scene.directory, 'removed.conf'), join(scene.directory, 'doveadm-of-removed')]
  const listing = `printf 'mailbox\\tguid\\nINBOX\\tf00d\\n'`
  await writeFile(
    conf,
    `doveadm_on() { echo "$@" >> ${file}; [ "$1" = a ] || ${listing}; }\ndsync_address() { echo tcp:b:1; }\n`,
  )
  const env = 'MAILMUX_USER=u MAILMUX_FROM=a MAILMUX_TO=b MAILMUX_PASS=final'
  const { code, stderr } = await run('sh', ['-c', `${env} DSYNC_MOVE_CONF=${conf} ${SCRIPT}`])
  assert.equal(code, 1)
  assert.match(
    stderr,
    /^dsync-move: u has no INBOX on a, and has one on b: the mailbox on a was removed, or never used/,
  )
  assert.doesNotMatch(await readFile(file, 'utf8'), /backup/)
})

test('reports the errors of doveadm', async () => {
  await redis.command('HSET', 'mailmux:user:stray@example.test', 'backend', 'store1')
  const unknown = await move('stray@example.test', 'store2')
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /in pass 1: .*doveadm.*; dsync-move: the mailboxes on store1 cannot be listed/)
})
