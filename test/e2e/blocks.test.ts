/** `mailmux block` on two instances with one Redis, one of them with two workers: in force at once everywhere, with its reason where not. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { blockDone, blocksListed } from '../../src/admin/block-routes.ts'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startDovecot } from '../support/dovecot.ts'
import { openMailClient, type MailClient, type MailProtocol } from '../support/mail-client.ts'
import { startNamedMailmux, toBackend, type Mailmux } from '../support/mailmux.ts'
import { startRedis, type Redis } from '../support/redis.ts'
import { run, type RunResult } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { openScene } from '../support/scene.ts'

const TOKEN = 'e2e-token'
const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'
const NO_TLS = { ca: '', servername: 'mail.example.test' }
const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']

const scene = openScene()
let redis: Redis
let first: Mailmux
let second: Mailmux
let alone: Mailmux

before(async () => {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('mailmux')
  redis = await startRedis(scene)
  const store = await startDovecot(scene, { name: 'store1', users: { [ALICE]: 'secret', [BOB]: 'secret' } })
  const start = async (name: string, workers: number, isShared: boolean): Promise<Mailmux> => {
    return startNamedMailmux(scene, name, {
      certificate,
      backends: { store1: toBackend(store) },
      domains: { 'example.test': 'store1' },
      ...(isShared && { directory: { redis: { url: redis.url, timeout: '2s' } } }),
      limits: { exempt: ['198.51.100.0/24'], failure_delay: '0s' },
      settings: { workers },
      adminToken: TOKEN,
    })
  }
  ;[first, second, alone] = await Promise.all([start('one', 1, true), start('two', 2, true), start('alone', 1, false)])
})
after(() => scene.close())

function mailmux(at: Mailmux, command: string, ...args: string[]): Promise<RunResult> {
  return run(MAILMUX_RUNTIME, [MAIN, command, '-c', at.configFile, ...args], { ms: START_DEADLINE_MS })
}

async function open(at: Mailmux, protocol: MailProtocol, localAddress: string): Promise<MailClient> {
  const port = at.ports[protocol === 'imap' ? 'imapClear' : 'pop3Clear']
  return openMailClient(scene, protocol, { port, localAddress }, 'clear', NO_TLS)
}

async function ended({ protocol, peer }: MailClient): Promise<void> {
  if (protocol === 'imap') await peer.expect(/^\* BYE \[UNAVAILABLE\] The session was ended by an administrator\./u)
  await peer.expectClose()
}

async function accepts(at: Mailmux, protocol: MailProtocol, user: string): Promise<boolean> {
  const client = await open(at, protocol, '127.0.3.1')
  const { accepted } = await client.login(user, 'secret')
  client.peer.destroy()
  return accepted
}

for (const protocol of PROTOCOLS)
  test(`${protocol}: a blocked user is logged out of and kept out of each instance, and no other user is`, async () => {
    const all = await Promise.all(
      [first, second, second, second].map(async (at) => {
        const client = await open(at, protocol, '127.0.3.1')
        assert.ok((await client.login(ALICE, 'secret')).accepted)
        return client
      }),
    )
    const bob = await open(second, protocol, '127.0.3.1')
    assert.ok((await bob.login(BOB, 'secret')).accepted)
    const { code, stdout } = await mailmux(first, 'block', ALICE, '--for', '1h')
    assert.match(stdout, /^alice@example\.test is blocked until \d{4}-\S+Z; 4 sessions end\n$/u)
    assert.equal(code, 0)
    for (const at of [first, second]) {
      assert.equal(await accepts(at, protocol, ALICE), false)
      assert.equal(await accepts(at, protocol, BOB), true)
    }
    // At a safe point: a session at rest ends at once.
    await Promise.all(all.map((client) => ended(client)))
    assert.deepEqual(await bob.subjects(), ['You are on store1, bob@example.test'])
    const list = await mailmux(second, 'blocks')
    assert.match(list.stdout, /^BLOCKED +SINCE +UNTIL +BY\nalice@example\.test +\d\S+Z +\d\S+Z +\S+@\S+\n1 block\n$/u)
    const line = await first.waitForLog((one) => one.msg === 'blocked by operator' && one.target === ALICE, 'the audit')
    assert.deepEqual([line.kind, typeof line.by, typeof line.until, line.ended], ['user', 'string', 'string', 4])
    assert.match((await mailmux(second, 'unblock', ALICE)).stdout, /^alice@example\.test is not blocked any more\n$/u)
    for (const at of [first, second]) assert.equal(await accepts(at, protocol, ALICE), true)
    await bob.quit()
  })

test('a blocked address is rejected before its greeting, and its sessions end', async () => {
  const [blocked, other] = ['127.0.4.9', '127.0.5.1']
  const client = await open(second, 'imap', blocked)
  assert.ok((await client.login(ALICE, 'secret')).accepted)
  assert.equal((await mailmux(first, 'block', '127.0.4.0/24')).code, 0)
  await ended(client)
  for (const at of [first, second]) {
    await assert.rejects(open(at, 'imap', blocked))
    await (await open(at, 'imap', other)).quit()
    await at.waitForLog((one) => one.msg === 'connection rejected' && one.limit === 'block', 'the rejection')
  }
  assert.equal((await mailmux(first, 'unblock', '127.0.4.0/24')).code, 0)
  await (await open(second, 'imap', blocked)).quit()
})

test('a worker that is started again has the blocks', async () => {
  assert.equal((await mailmux(first, 'block', ALICE)).code, 0)
  const pids = second.log().flatMap((line) => (line.msg === 'worker serves' ? [Number(line.pid)] : []))
  for (const pid of pids.slice(-2)) process.kill(pid, 'SIGKILL')
  await until(
    START_DEADLINE_MS,
    () => second.log().filter((line) => line.msg === 'worker serves').length === pids.length + 2 || undefined,
    () => 'the workers are not started again',
  )
  for (let count = 0; count < 8; count++) assert.equal(await accepts(second, 'imap', ALICE), false)
  assert.equal((await mailmux(second, 'unblock', ALICE)).code, 0)
})

test('what cannot be blocked is refused with the reason, and nothing changes', async () => {
  for (const [args, code, why] of [
    [['198.51.100.7'], 1, /198\.51\.100\.7 cannot be blocked: it is in limits\.exempt of listener /u],
    [['198.51.0.0/16'], 1, /cannot be blocked: it is in limits\.exempt/u],
    [['192.0.2.7/24'], 2, /host bits: the network is 192\.0\.2\.0\/24/u],
    [['192.0.2.7', '--for', 'soon'], 2, /body\.for: a duration/u],
    [['a b'], 2, /no address, no network and no name of a user/u],
  ] as const) {
    const answer = await mailmux(first, 'block', ...args)
    assert.match(answer.stderr, why)
    assert.equal(answer.code, code)
  }
  const { stderr, code } = await mailmux(first, 'unblock', '192.0.2.9')
  assert.match(stderr, /192\.0\.2\.9 is not blocked/u)
  assert.equal(code, 1)
  assert.equal(await redis.command('HLEN', 'mailmux:blocks'), '0')
})

test('a block ends when its time is over', async () => {
  assert.equal((await mailmux(first, 'block', ALICE, '--for', '1s')).code, 0)
  for (const at of [first, second])
    await until(
      START_DEADLINE_MS,
      async () => (await accepts(at, 'imap', ALICE)) || undefined,
      () => 'the block does not end',
    )
})

test('without Redis a block is of this instance, and says so', async () => {
  const { stdout, code } = await mailmux(alone, 'block', ALICE)
  assert.match(stdout, /^alice@example\.test is blocked; only this instance is asked: the directory is not Redis\n$/u)
  assert.equal(code, 0)
  assert.equal(await accepts(alone, 'imap', ALICE), false)
  assert.equal(await accepts(first, 'imap', ALICE), true)
  const json = blocksListed.parse(JSON.parse((await mailmux(alone, 'blocks', '--json')).stdout))
  assert.deepEqual([json.scope, json.blocks.map(({ target }) => target)], ['instance', [ALICE]])
  const removed = blockDone.parse(JSON.parse((await mailmux(alone, 'unblock', ALICE, '--json')).stdout))
  assert.deepEqual([removed.block.target, removed.ended], [ALICE, 0])
})

test('the API changes nothing without the token', async () => {
  const api = `http://127.0.0.1:${first.ports.admin}/api/v1/blocks`
  const post = await fetch(api, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ target: ALICE }),
  })
  const remove = await fetch(`${api}?target=${ALICE}`, { method: 'DELETE' })
  assert.deepEqual([post.status, remove.status], [401, 401])
  assert.equal(await accepts(first, 'imap', ALICE), true)
})

test('while Redis is away, blocks stay in force, and a new one is refused with the reason', async () => {
  assert.equal((await mailmux(first, 'block', BOB)).code, 0)
  await redis.kill()
  await until(
    START_DEADLINE_MS,
    async () => ((await mailmux(first, 'block', ALICE)).code === 2 ? true : undefined),
    () => 'it is not refused',
  )
  assert.match((await mailmux(first, 'block', ALICE)).stderr, /Redis: /u)
  assert.equal(await accepts(second, 'imap', BOB), false)
})
