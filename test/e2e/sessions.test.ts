/** `mailmux sessions` and `mailmux sessions end` asked of a real mailmux with two workers, in front of real stores. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sessionsAnswer } from '../../src/admin/answers.ts'
import { MAIN } from '../support/command.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { openMailClient, type MailClient } from '../support/mail-client.ts'
import { run, type RunResult } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'
import { watchWorkers, type Workers } from '../support/workers.ts'

const TOKEN = 'e2e-token'
const KICKED = /^\* BYE \[UNAVAILABLE\] The session was ended by an administrator\./
const SIZE = 2000
const BEGIN = 'Subject: half\r\n\r\n'

let site: Site
let workers: Workers
before(async () => {
  site = await startSite({ mailmux: { adminToken: TOKEN, settings: { workers: 2 } } })
  workers = watchWorkers(site.mailmux, 2)
})
after(() => site.close())

function sessions(...args: string[]): Promise<RunResult> {
  const [first, ...rest] = args
  const words =
    first === 'end' ? ['end', '-c', site.mailmux.configFile, ...rest] : ['-c', site.mailmux.configFile, ...args]
  return run(MAILMUX_RUNTIME, [MAIN, 'sessions', ...words], { ms: 40_000 })
}

/** @param from the client's own address */
async function openImap(user: string, from = '127.0.0.1'): Promise<MailClient> {
  const { mailmux, scene, tls } = site
  const client = await openMailClient(scene, 'imap', { port: mailmux.ports.imap, localAddress: from }, 'starttls', tls)
  assert.ok((await client.login(user, PASSWORD)).accepted)
  return client
}

async function openIdle(user: string, from?: string): Promise<MailClient> {
  const client = await openImap(user, from)
  client.peer.send('s SELECT INBOX')
  await client.peer.expectUntil(/^s OK/)
  await client.peer.ask('i IDLE', /^\+/)
  return client
}

/** Dovecot says `* OK Still here` from time to time. */
async function leaveIdle({ peer }: MailClient): Promise<void> {
  peer.send('DONE')
  await peer.expectUntil(/^i OK/)
}

async function beginAppend(user: string): Promise<MailClient> {
  const client = await openImap(user)
  await client.peer.ask(`a APPEND INBOX {${SIZE}}`, /^\+/)
  client.peer.sendRaw(BEGIN)
  return client
}

/** Twelve connections: both workers have some, but in one of a thousand runs. */
const open = (count: number, one: () => Promise<MailClient>): Promise<MailClient[]> =>
  Promise.all(Array.from({ length: count }, one))

async function isKicked({ peer }: MailClient): Promise<void> {
  await peer.expectUntil(KICKED)
  await peer.expectClose()
}

/** The lines `sessions ended by operator`, without the fields of each line. */
function audit(): Record<string, unknown>[] {
  return workers
    .lines('sessions ended by operator')
    .map(({ msg: _msg, time: _time, pid: _pid, level: _level, ...fields }) => fields)
}

const ended = (count: number, cause: string) =>
  until(
    READ_DEADLINE_MS,
    async () => (await site.mailmux.metric(`mailmux_sessions_ended_total{cause="${cause}"}`)) === count || undefined,
    () => `not ${count} sessions have ended with ${cause}`,
  )

test('ends the sessions of a user at every worker, those in IDLE at once, and one in an APPEND once it is answered', async () => {
  const idle = await open(6, () => openIdle('alice@example.test'))
  const busy = await beginAppend('alice@example.test')
  const other = await openIdle('bob@example.test')

  const list = await sessions('--user', 'alice@example.test', '--backend', 'store1', '--json')
  assert.equal(list.code, 0, list.stderr)
  const told = sessionsAnswer.parse(JSON.parse(list.stdout))
  assert.deepEqual([told.total, told.incomplete], [7, undefined])
  const table = await sessions('--user', 'bob@example.test')
  assert.match(
    table.stdout,
    /^USER +PROTOCOL +BACKEND +CLIENT +LISTENER +AGE +IDLE +WORKER\nbob@example\.test +imap +store2 +127\.0\.0\.1 +imap-starttls /,
  )
  assert.match(table.stdout, /\n1 session; only this instance is asked: the directory is not Redis\n$/)

  const { code, stdout, stderr } = await sessions('end', '--user', 'alice@example.test')
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(
    stdout,
    /^7 sessions end at a safe point \(worker 1: \d, worker 2: \d\); only this instance is asked: .*\n$/,
  )
  await Promise.all(idle.map(isKicked))
  busy.peer.send('x'.repeat(SIZE - BEGIN.length))
  await busy.peer.expectUntil(/^a OK/)
  await isKicked(busy)
  await leaveIdle(other)
  await other.quit()
  assert.deepEqual(audit(), [
    { peer: '127.0.0.1', token: 'token_file', user: 'alice@example.test', now: false, ended: 7 },
  ])
  await ended(7, 'kicked')
})

test('ends the sessions of a client network alone', async () => {
  const inside = await openIdle('alice@example.test', '127.0.0.9')
  const outside = await openIdle('alice@example.test', '127.0.0.17')
  const { code, stdout } = await sessions('end', '--client', '127.0.0.8/29')
  assert.deepEqual([code, stdout.split(' ')[0]], [0, '1'])
  await isKicked(inside)
  await leaveIdle(outside)
  await outside.quit()
  assert.deepEqual(audit().at(-1), {
    peer: '127.0.0.1',
    token: 'token_file',
    client: '127.0.0.8/29',
    now: false,
    ended: 1,
  })
})

test('rebalances the running sessions of every worker over a time, one in an APPEND once it is answered', async () => {
  const idle = await open(6, () => openIdle('alice@example.test'))
  const busy = await beginAppend('alice@example.test')
  const words = ['rebalance', '-c', site.mailmux.configFile, '--share', '100%', '--over', '2s', '--backend', 'store1']
  const { code, stdout, stderr } = await run(MAILMUX_RUNTIME, [MAIN, ...words], { ms: 40_000 })
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /^7 sessions end over 2s \(worker 1: \d, worker 2: \d\); /)
  const isRebalanced = async ({ peer }: MailClient): Promise<void> => {
    await peer.expectUntil(/^\* BYE \[UNAVAILABLE\] Sessions are being spread, please connect again\./)
    await peer.expectClose()
  }
  await Promise.all(idle.map(isRebalanced))
  busy.peer.send('x'.repeat(SIZE - BEGIN.length))
  await busy.peer.expectUntil(/^a OK/)
  await isRebalanced(busy)
  const rebalance = { share: 1, overMs: 2000 }
  assert.deepEqual(audit().at(-1), {
    peer: '127.0.0.1',
    token: 'token_file',
    backend: 'store1',
    now: false,
    rebalance,
    ended: 7,
  })
  await ended(7, 'rebalanced')
})

test('cuts a session in a command with --now, and gives the others their goodbye', async () => {
  const idle = await openIdle('alice@example.test')
  const busy = await beginAppend('alice@example.test')
  const { code, stdout } = await sessions('end', '--backend', 'store1', '--now')
  assert.deepEqual([code, stdout.slice(0, 18)], [0, '2 sessions end now'])
  await busy.peer.expectClose()
  await isKicked(idle)
  const cut = await site.mailmux.waitForLog(({ msg, cut }) => msg === 'session ended' && cut === true, 'a cut session')
  assert.deepEqual([cut.cause, cut.user], ['kicked', 'alice@example.test'])
})

test('ends sessions of a listener before their login, with a goodbye, and no others', async () => {
  const pop3 = await site.open('pop3', 'clear')
  const imap = await site.open('imap', 'clear')
  const list = await sessions('--listener', 'pop3-none')
  assert.match(list.stdout, /^- +pop3 +- +127\.0\.0\.1 +pop3-none +\S+ +\(login\) +\d$/m)
  assert.equal((await sessions('end', '--listener', 'pop3-none')).code, 0)
  await pop3.peer.expect('-ERR [SYS/TEMP] The session was ended by an administrator.')
  await pop3.peer.expectClose()
  await imap.quit()
})

test('says what is wrong with a filter, ends nothing, and ends with 2', async () => {
  const client = await openIdle('alice@example.test')
  for (const [args, why] of [
    [['end'], /which sessions\? Say --user, --backend, --client or --listener, or --all/],
    [['end', '--all', '--user', 'a'], /--all goes with no filter/],
    [['end', '--usr', 'a'], /unknown option '--usr'/],
    [['--user', 'bob@example.test', 'end', '--all'], /say --config after `end`/],
    [['end', '--backend', 'store9'], /there is no back end store9/],
    [['--listener', 'imap9'], /there is no listener imap9/],
    [['end', '--client', 'example.test'], /client: an address or a network/],
  ] as const) {
    const { code, stderr } = await sessions(...args)
    assert.deepEqual([code, why.test(stderr)], [2, true], `${args.join(' ')}: ${stderr}`)
  }
  client.peer.send('DONE')
  await client.peer.expectUntil(/^i OK/) // on a busy machine after Dovecot's `Still here`
  await client.quit()
})

test('names a worker that does not answer, and ends the sessions of the other', async () => {
  const all = await open(12, () => openImap('carol@example.test'))
  const before = sessionsAnswer.parse(JSON.parse((await sessions('--user', 'carol@example.test', '--json')).stdout))
  const at = before.sessions.filter(({ worker }) => worker === 2).length
  workers.signal('SIGSTOP', 2)
  const list = await sessions('--user', 'carol@example.test')
  const end = await sessions('end', '--user', 'carol@example.test')
  workers.signal('SIGCONT', 2)
  assert.deepEqual([list.code, end.code], [1, 1])
  assert.equal(list.stderr, 'mailmux sessions: worker 2 did not answer: its sessions are missing in the list\n')
  assert.match(end.stderr, /^mailmux sessions end: worker 2 did not answer: it may end its sessions later/)
  assert.match(end.stdout, new RegExp(`^${12 - at} sessions? ends? at a safe point`))
  // A worker that counts as silent is sent no order, as on a busy machine.
  await until(
    START_DEADLINE_MS,
    async () => (await sessions('end', '--user', 'carol@example.test')).code === 0 || undefined,
    () => 'worker 2 does not answer again',
  )
  await Promise.all(all.map(isKicked))
})
