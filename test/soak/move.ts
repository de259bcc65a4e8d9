/**
 * `mailmux move --from` of 300 users between two Dovecots while a Postfix delivers mail to them: `node test/soak/move.ts`, for fewer users
 * with MOVE_USERS, and with MOVE_PARALLEL=20 at a time. Writes docs/soak/move.md.
 *
 * Afterwards the stores are compared message by message, and each message that Postfix has accepted must be on the new store once.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import { promisify } from 'node:util'
import { alignTable } from '../bench/render.ts'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { until } from '../support/deadline.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { startMailmux, toBackend } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { type Postfix, startPostfix } from '../support/postfix.ts'
import { startRedis } from '../support/redis.ts'
import { run, type RunResult } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { directoryConnected, instancesListed, PASSWORD } from '../support/site.ts'
import { describeHere } from './here.ts'

const FOLDER = join(import.meta.dirname, '../../docs/soak')
const SCRIPT = join(import.meta.dirname, '../../contrib/dsync-move')
const [NODE = '', ...NODE_OPTIONS] = NODE_OF_COMMAND

const USERS = Array.from({ length: Number(process.env.MOVE_USERS ?? 300) }, (_, index) => `user${index}@example.test`)
const PARALLEL = Number(process.env.MOVE_PARALLEL ?? 20)
/** In each mailbox before the move. */
const MESSAGES = 10
/** Between two messages that arrive. */
const MAIL_EVERY_MS = 200
/** Of the whole move: with delivery, each user is on hold for 35 s. */
const MOVE_MS = 3600_000
/** Postfix remembers an answer for 30 s, and a flush leaves out what it is just putting back. */
const DELIVERED_MS = 300_000

type Store = { dovecot: Dovecot; lmtp: number; doveadm: number }

async function startStore(scene: Scene, name: string): Promise<Store> {
  const mailDirectory = join(scene.directory, `mail-${name}`)
  await mkdir(mailDirectory)
  await chmod(mailDirectory, 0o777) // Dovecot creates the mailboxes, and runs as another user
  const [lmtp, doveadm] = [await freePort(), await freePort()]
  const extra = `protocols = imap pop3 lmtp
doveadm_password = of-dsync
passdb {
  driver = static
  args = password=${PASSWORD}
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${lmtp}
  }
}
service doveadm {
  inet_listener {
    address = 127.0.0.1
    port = ${doveadm}
  }
}
`
  const dovecot = await startDovecot(scene, { name, users: {}, mailDirectory, extra })
  scene.closeLater(() => dovecot.stop())
  return { dovecot, lmtp, doveadm }
}

/** Runs doveadm for each user, and gives its rows. */
async function forAll(scene: Scene, { dovecot }: Store, ...words: string[]): Promise<string[]> {
  const [command = '', ...rest] = words
  const args = ['-c', dovecot.configFile, '-f', 'tab', command, '-F', join(scene.directory, 'users'), ...rest]
  const { stdout } = await promisify(execFile)('doveadm', args, { maxBuffer: 2 ** 28 })
  return stdout
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
}

/** The shell functions by which contrib/dsync-move reaches the stores. */
async function writeConf(scene: Scene, stores: readonly Store[]): Promise<string> {
  const of = (value: (store: Store) => string): string =>
    `case $1 in ${stores.map((store) => `${store.dovecot.name}) ${value(store)} ;;`).join(' ')} esac`
  const file = join(scene.directory, 'dsync-move.conf')
  await writeFile(
    file,
    `doveadm_on() {
  ${of(({ dovecot }) => `file=${dovecot.configFile}`)}
  shift
  doveadm -c $file "$@"
}
dsync_address() { ${of(({ doveadm }) => `echo tcp:127.0.0.1:${doveadm}`)}; }
`,
  )
  return file
}

/** Messages with flags, one that is expunged, and a second folder. */
async function fill(scene: Scene, store: Store): Promise<void> {
  for (const user of USERS)
    for (let number = 1; number <= MESSAGES; number++)
      await store.dovecot.deliver(user, `Subject: old ${number}\r\n\r\n${'x'.repeat(2000)}\r\n`)
  await forAll(scene, store, 'mailbox create', 'Old mail')
  await forAll(scene, store, 'flags add', '\\Seen work', 'mailbox', 'INBOX', '1:5')
  await forAll(scene, store, 'copy', 'Old mail', 'mailbox', 'INBOX', '4:6')
  await forAll(scene, store, 'expunge', 'mailbox', 'INBOX', 'uid', '2')
}

/** What dsync takes by itself: both passes, for each user, to a third store. */
async function measureDsync(scene: Scene, conf: string): Promise<number> {
  const startMs = performance.now()
  const environment = `DSYNC_MOVE_CONF=${conf} MAILMUX_USER=@@ MAILMUX_FROM=store1 MAILMUX_TO=store3`
  const passes = ['1', 'final'].map((number) => `${environment} MAILMUX_PASS=${number} ${SCRIPT}`).join(' && ')
  const args = ['-a', join(scene.directory, 'users'), '-P', String(PARALLEL), '-I', '@@', 'sh', '-c', passes]
  const { code, stderr } = await run('xargs', args, { ms: MOVE_MS })
  assert.equal(code, 0, stderr)
  return (performance.now() - startMs) / 1000
}

type Arriving = { stop: () => Promise<Map<string, string>> }

/** @returns the recipient of each message that was accepted, by its subject */
function sendMail(postfix: Postfix): Arriving {
  const accepted = new Map<string, string>()
  const state = { isOver: false }
  async function send(): Promise<void> {
    for (let number = 1; !state.isOver; number++) {
      const user = USERS[(number * 7) % USERS.length] ?? ''
      const subject = `new ${number}`
      postfix.send(user, `Subject: ${subject}\nFrom: sender@example.net\n\nHello.\n`)
      accepted.set(subject, user)
      await pass(MAIL_EVERY_MS)
    }
  }
  const sending = send()
  return {
    async stop() {
      state.isOver = true
      await sending
      return accepted
    },
  }
}

/** `user mailbox UID flags subject` of each message, and the UIDVALIDITY of each mailbox. */
async function contentOf(scene: Scene, store: Store): Promise<{ messages: Set<string>; folders: string[] }> {
  const rows = await forAll(scene, store, 'fetch', 'mailbox uid flags hdr.subject', 'mailbox', '*')
  // A server may tell one session alone that a message is recent (RFC 3501 section 2.3.2).
  const messages = rows.map((row) => row.replace(/ ?\\Recent/, ''))
  const folders = await forAll(scene, store, 'mailbox status', 'uidvalidity', '*')
  assert.equal(new Set(messages).size, messages.length)
  return { messages: new Set(messages), folders }
}

/** @returns what is wrong */
async function compare(
  scene: Scene,
  [from, to]: [Store, Store],
  accepted: ReadonlyMap<string, string>,
): Promise<{ problems: string[]; compared: number; late: number }> {
  const [old, now] = [await contentOf(scene, from), await contentOf(scene, to)]
  assert.deepEqual(now.folders, old.folders, 'UIDVALIDITY')
  const problems = [...old.messages]
    .filter((row) => !now.messages.has(row))
    .map((row) => `not on the new store: ${row}`)
  const late = [...now.messages].filter((row) => !old.messages.has(row))
  const arrived = new Map<string, string[]>()
  for (const row of now.messages) {
    const [user = '', , , , subject = ''] = row.split('\t')
    arrived.set(subject, [...(arrived.get(subject) ?? []), user])
  }
  for (const [subject, user] of accepted)
    if (arrived.get(subject)?.join() !== user) problems.push(`${subject} for ${user}: ${arrived.get(subject)?.join()}`)
  for (const row of late) if (!accepted.has(row.split('\t')[4] ?? '')) problems.push(`on the new store alone: ${row}`)
  return { problems, compared: old.messages.size, late: late.length }
}

async function waitForQueue(postfix: Postfix): Promise<void> {
  await until(
    DELIVERED_MS,
    async () => {
      if ((await postfix.queue()).length === 0) return true
      postfix.flush()
      await pass(2000)
      return undefined
    },
    () => 'mail is left in the queue of Postfix',
  )
}

/** `-dirty` where a file differs from it. */
async function findCommit(): Promise<string> {
  const words = ['-C', import.meta.dirname, 'describe', '--always', '--dirty', '--exclude', '*']
  const { stdout } = await promisify(execFile)('git', words).catch(() => ({ stdout: 'unknown' }))
  return stdout.trim()
}

type Figures = {
  moved: RunResult
  seconds: number
  dsyncSeconds: number
  accepted: number
  compared: number
  late: number
}

function render({ moved, seconds, dsyncSeconds, accepted, compared, late }: Figures, at: string): string {
  const [summary = '', held = ''] = moved.stdout.split('\n')
  const table = alignTable([
    ['what came of it', ''],
    [`move of ${USERS.length} users, parallel ${PARALLEL}`, `${seconds.toFixed(0)} s`],
    [`dsync alone, both passes of each user, parallel ${PARALLEL}`, `${dsyncSeconds.toFixed(0)} s`],
    ['messages that Postfix accepted during the move', String(accepted)],
    ['of them, delivered to the new store after the switch', String(late)],
    ['messages that both stores have, equal in UID, flags and subject', String(compared)],
    ['lost, doubled or different', '0'],
  ])
  return `# Moves while mail arrives

\`mailmux move --from store1 --to store2 --run contrib/dsync-move\` between two Dovecots, while a Postfix delivers a message every
${MAIL_EVERY_MS} ms by the answers of \`delivery\`. Each user has two folders with flags and a message that was expunged. With \`delivery\`, a move waits
35 s between the hold and the last copy, since Postfix remembers an answer for 30 s: that is most of its time. Written by
\`node test/soak/move.ts\`.

${at}

${table.join('\n')}

\`\`\`
${summary}
${held}
\`\`\`
`
}

async function main(scene: Scene): Promise<void> {
  const at = `${new Date().toISOString()}, commit ${await findCommit()}, ${describeHere()}.`
  await writeFile(join(scene.directory, 'users'), `${USERS.join('\n')}\n`)
  const certificate = await (await makeAuthority(scene.directory)).issue('mailmux')
  const [store1, store2, store3] = await Promise.all([
    startStore(scene, 'store1'),
    startStore(scene, 'store2'),
    startStore(scene, 'store3'),
  ])
  const conf = await writeConf(scene, [store1, store2, store3])
  await fill(scene, store1)
  process.stdout.write(`${USERS.length} users have ${MESSAGES} messages each\n`)
  const dsyncSeconds = await measureDsync(scene, conf)
  process.stdout.write(`dsync alone: ${dsyncSeconds.toFixed(0)} s\n`)

  const redis = await startRedis(scene)
  const route = "for _, user in ipairs(ARGV) do redis.call('HSET', 'mailmux:user:' .. user, 'backend', 'store1') end"
  await redis.command('EVAL', route, '0', ...USERS)
  const delivery = `127.0.0.1:${await freePort()}`
  const backends = [store1, store2].map(({ dovecot, lmtp }) => [dovecot.name, { ...toBackend(dovecot), lmtp }])
  const mailmux = await startMailmux(scene, {
    certificate,
    backends: Object.fromEntries(backends) as Record<string, ReturnType<typeof toBackend>>,
    directory: { redis: { url: redis.url, prefix: 'mailmux:', timeout: '500ms' } },
    settings: { workers: 2, delivery: { listen: delivery }, log: { level: 'info', format: 'json' } },
  })
  await directoryConnected(mailmux)
  await instancesListed(redis)
  const postfix = await startPostfix(scene, delivery)

  const mail = sendMail(postfix)
  const startMs = performance.now()
  const order = ['--from', 'store1', '--to', 'store2', '--parallel', String(PARALLEL)]
  const command = ['--run', `DSYNC_MOVE_CONF=${conf} ${SCRIPT}`, '-c', mailmux.configFile]
  const moved = await run(NODE, [...NODE_OPTIONS, MAIN, 'move', ...order, ...command], { ms: MOVE_MS })
  const seconds = (performance.now() - startMs) / 1000
  process.stdout.write(moved.stdout + moved.stderr)
  assert.equal(moved.code, 0)
  const accepted = await mail.stop()
  await waitForQueue(postfix)
  const { problems, ...counts } = await compare(scene, [store1, store2], accepted)
  assert.deepEqual(problems.slice(0, 20), [])
  const text = render({ moved, seconds, dsyncSeconds, accepted: accepted.size, ...counts }, at)
  await mkdir(FOLDER, { recursive: true })
  await writeFile(join(FOLDER, 'move.md'), text)
  process.stdout.write(text)
}

const scene = openScene()
try {
  await main(scene)
} finally {
  await scene.close()
}
