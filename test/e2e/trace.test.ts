/** `mailmux trace` with a real Dovecot: two instances with one Redis, one of them with two workers. No password appears anywhere. */
import assert from 'node:assert/strict'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startDovecot } from '../support/dovecot.ts'
import { openMailClient, type MailClient, type MailProtocol } from '../support/mail-client.ts'
import { startNamedMailmux, toBackend, type Mailmux } from '../support/mailmux.ts'
import { startProgram, type Program } from '../support/processes.ts'
import { startRedis } from '../support/redis.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { openScene } from '../support/scene.ts'

const TOKEN = 'e2e-token'
const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'
const PASSWORD = 'xK9-vQ7-zW3'
const WRONG = 'pL4-wrong-tT8'
const NO_TLS = { ca: '', servername: 'mail.example.test' }

const scene = openScene()
let first: Mailmux
let second: Mailmux

before(async () => {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('mailmux')
  const redis = await startRedis(scene)
  const store = await startDovecot(scene, { name: 'store1', users: { [ALICE]: PASSWORD, [BOB]: PASSWORD } })
  const start = async (name: string, workers: number): Promise<Mailmux> => {
    return startNamedMailmux(scene, name, {
      certificate,
      backends: { store1: toBackend(store) },
      domains: { 'example.test': 'store1' },
      directory: { redis: { url: redis.url, timeout: '2s' } },
      limits: { failure_delay: '0s' },
      settings: { workers },
      adminToken: TOKEN,
    })
  }
  ;[first, second] = await Promise.all([start('one', 1), start('two', 2)])
  // Both know each other.
  for (const at of [first, second])
    await until(
      START_DEADLINE_MS,
      async () => (await at.metric('mailmux_instances')) === 2 || undefined,
      () => 'the instances do not know each other',
    )
})
after(() => scene.close())

/** Begins a trace at the first instance, and waits until both have it. */
async function begin(...args: string[]): Promise<Program> {
  const count = (at: Mailmux): number => at.log().filter(({ msg }) => msg === 'trace begun by operator').length
  const before = [first, second].map(count)
  const program = startProgram(scene, {
    name: 'trace',
    command: MAILMUX_RUNTIME,
    args: [MAIN, 'trace', '-c', first.configFile, ...args],
  })
  await until(
    START_DEADLINE_MS,
    () => [first, second].every((at, index) => count(at) > (before[index] ?? 0)) || undefined,
    () => `the trace has not begun: ${program.stderr()}`,
  )
  return program
}

async function open(at: Mailmux, protocol: MailProtocol, localAddress = '127.0.3.1'): Promise<MailClient> {
  const port = at.ports[protocol === 'imap' ? 'imapClear' : 'pop3Clear']
  return openMailClient(scene, protocol, { port, localAddress }, 'clear', NO_TLS)
}

const shows = (program: Program, wanted: RegExp) =>
  program.waitForLine((line) => wanted.test(line), READ_DEADLINE_MS, String(wanted))

function assertNoSecret(text: string): void {
  for (const secret of [
    PASSWORD,
    WRONG,
    ...[PASSWORD, WRONG].map((one) => Buffer.from(`\0${ALICE}\0${one}`).toString('base64')),
  ])
    assert.ok(!text.includes(secret), `${secret} is in\n${text}`)
}

test('shows a user on both legs at every instance, by each way to log in, and no other user, until Ctrl-C', async () => {
  const file = join(scene.directory, 'alice.txt')
  const program = await begin('--user', ALICE, '--for', '5m', '--save', file)
  for (const at of [first, second]) {
    for (const protocol of ['imap', 'pop3'] as const) {
      const bob = await open(at, protocol)
      assert.ok((await bob.login(BOB, PASSWORD)).accepted)
      const alice = await open(at, protocol)
      assert.ok(!(await alice.login(ALICE, WRONG)).accepted)
      assert.ok((await alice.login(ALICE, PASSWORD)).accepted)
      await alice.subjects()
      await alice.quit()
      bob.peer.destroy()
    }
    const sasl = await open(at, 'imap')
    const response = Buffer.from(`\0${ALICE}\0${PASSWORD}`).toString('base64')
    await sasl.peer.ask('s AUTHENTICATE PLAIN', /^\+/)
    await sasl.peer.ask(response, /^s OK/)
    await sasl.peer.ask('z9 LOGOUT', /^\* BYE/)
    await sasl.peer.expectUntil(/^z9 OK/)
  }
  await until(
    READ_DEADLINE_MS,
    () => [...program.stdout().matchAll(/z9 OK/g)].length === 2 || undefined,
    () => `not all is shown:\n${program.stdout()}`,
  )
  program.signal('SIGINT')
  assert.deepEqual(await program.exited, { code: 0, signal: null })
  const text = program.stdout()
  for (const wanted of [
    /client  -> c1 LOGIN alice@example\.test \[hidden\]/,
    /client  <- c1 NO \[AUTHENTICATIONFAILED\]/,
    /client  -> USER alice@example\.test/,
    /client  -> PASS \[hidden\]/,
    /client  -> s AUTHENTICATE PLAIN/,
    /client  -> \[hidden\]/,
    /-- alice@example\.test belongs to store1/,
    /backend -> \* OK \[CAPABILITY/,
    /backend <- .*AUTHENTICATE PLAIN \[hidden\]/,
    /backend -> A OK/,
    /client  -> c\d+ FETCH 1:\*/,
    /backend -> c\d+ OK/,
    /backend -> \[\d+ octets\]/,
    /-- ended: /,
  ])
    assert.match(text, wanted)
  assert.ok(!text.includes(BOB), 'no other user')
  assertNoSecret(text)
  assertNoSecret(program.stderr())
  const saved = await readFile(file, 'utf8')
  assertNoSecret(saved)
  assert.match(saved, /s AUTHENTICATE PLAIN/)
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  await first.waitForLog(({ msg, why }) => msg === 'trace ended' && why === 'by operator', 'the end of the trace')
  for (const at of [first, second]) assertNoSecret(JSON.stringify(at.log()))
})

test('shows a session that runs already, by its id, and ends with its time', async () => {
  const client = await open(second, 'imap', '127.0.3.9')
  assert.ok((await client.login(ALICE, PASSWORD)).accepted)
  const accepted = await second.waitForLog(
    ({ msg, client }) => msg === 'login accepted' && client === '127.0.3.9',
    'the login',
  )
  const id = String(accepted.session)
  const program = await begin('--session', id, '--for', '6s')
  await until(
    READ_DEADLINE_MS,
    async () => {
      client.peer.send('q1 NOOP')
      await client.peer.expectUntil(/^q1 OK/)
      return program.stdout().includes('-> q1 NOOP') || undefined
    },
    () => `nothing is shown:\n${program.stdout()}${program.stderr()}`,
  )
  assert.deepEqual(await program.exited, { code: 0, signal: null })
  assert.match(program.stdout(), new RegExp(`${id} backend -> q1 OK`))
  await first.waitForLog(({ msg, why }) => msg === 'trace ended' && why === 'its time is over', 'the end of the trace')
  await client.quit()
})

test('ends when the one who asked has gone', async () => {
  const program = await begin('--client', '127.0.3.0/24', '--for', '5m')
  const client = await open(second, 'imap')
  await shows(program, /accepted 127\.0\.3\.1/)
  program.signal('SIGKILL')
  await program.exited
  await first.waitForLog(
    ({ msg, why }) => msg === 'trace ended' && why === 'no reader',
    'the end of the trace',
    START_DEADLINE_MS,
  )
  assert.ok((await client.login(ALICE, PASSWORD)).accepted)
  await client.quit()
})

test('keeps an existing file, and wants to be told which sessions', async () => {
  const file = join(scene.directory, 'kept.txt')
  const args = [MAIN, 'trace', '-c', first.configFile]
  await run('touch', [file])
  const kept = await run(MAILMUX_RUNTIME, [...args, '--user', ALICE, '--save', file], { ms: START_DEADLINE_MS })
  assert.equal(kept.code, 2)
  assert.match(kept.stderr, /exists already/)
  const all = await run(MAILMUX_RUNTIME, args, { ms: START_DEADLINE_MS })
  assert.equal(all.code, 2)
  assert.match(all.stderr, /say which sessions/)
})
