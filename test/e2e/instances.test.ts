/** Two mailmux programs with one Redis: each lists both, names the one that does not answer, and goes on after an outage of Redis. */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { once } from 'node:events'
import { hostname } from 'node:os'
import { after, before, test } from 'node:test'
import { instancesAnswer, sessionsAnswer, type InstancesAnswer } from '../../src/admin/answers.ts'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Mailmux, startNamedMailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { run, type RunResult } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { openScene } from '../support/scene.ts'

const TOKEN = 'e2e-token'
/** Longer than the 15 s after which a heartbeat expires, and than a reconnection with one more heartbeat. */
const CHANGE_MS = START_DEADLINE_MS + 20_000

const scene = openScene()
let redis: Redis
let first: Mailmux
let second: Mailmux

before(async () => {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('mailmux')
  redis = await startRedis(scene)
  const store = { host: '127.0.0.1', imap: await freePort(), pop3: await freePort(), tls: 'none' }
  const start = async (name: string, workers: number): Promise<Mailmux> => {
    return startNamedMailmux(scene, name, {
      certificate,
      backends: { store1: store },
      directory: { redis: { url: redis.url, timeout: '2s' } },
      settings: { workers },
      adminToken: TOKEN,
    })
  }
  ;[first, second] = await Promise.all([start('one', 1), start('two', 2)])
})
after(() => scene.close())

function mailmux(command: string, { configFile }: Mailmux, ...args: string[]): Promise<RunResult> {
  const words = args[0] === 'end' ? ['end', '-c', configFile, ...args.slice(1)] : ['-c', configFile, ...args]
  return run(MAILMUX_RUNTIME, [MAIN, command, ...words], { ms: CHANGE_MS })
}

async function ask({ ports }: Mailmux): Promise<InstancesAnswer> {
  const response = await fetch(`http://127.0.0.1:${ports.admin}/api/v1/instances`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  })
  const json: unknown = await response.json()
  const answer = instancesAnswer.parse(json)
  assert.deepEqual(answer, json)
  return answer
}

/** Asks until the answer is as wanted, by processes and their states. */
async function listed(mailmux: Mailmux, wanted: Record<number, string[]>, scope = 'all'): Promise<InstancesAnswer> {
  let last: InstancesAnswer | undefined
  return until(
    CHANGE_MS,
    async () => {
      last = await ask(mailmux)
      const states = new Map(last.instances.map(({ pid, id, state }) => [pid ?? id, state]))
      const isWanted = Object.entries(wanted).every(([pid, ones]) => ones.includes(String(states.get(Number(pid)))))
      return isWanted && last.scope === scope && states.size === Object.keys(wanted).length ? last : undefined
    },
    () => `not listed as wanted: ${JSON.stringify(last)}`,
  )
}

const instancesOf = (mailmux: Mailmux): Promise<number | undefined> => mailmux.metric('mailmux_instances')

async function counted(mailmux: Mailmux, count: number): Promise<void> {
  await until(
    CHANGE_MS,
    async () => ((await instancesOf(mailmux)) === count ? true : undefined),
    () => `mailmux_instances is not ${count}`,
  )
}

test('each instance lists both, with their workers and sessions', async () => {
  const client = connect(second.ports.imapClear, '127.0.0.1')
  await once(client, 'data')
  try {
    const { instances } = await listed(first, { [first.pid]: ['up'], [second.pid]: ['up'] })
    const [one, two] = [first, second].map(({ pid }) => instances.find((instance) => instance.pid === pid))
    assert.ok(one && two)
    assert.deepEqual([one.self, one.workers, one.sessions], [true, 1, 0])
    assert.deepEqual([two.self, two.workers, two.sessions], [false, 2, 1])
    assert.equal(one.host, hostname().replace(/[^\w.-]/g, '-'))
    await listed(second, { [first.pid]: ['up'], [second.pid]: ['up'] })
    await counted(first, 2)
    await counted(second, 2)
    // What people read in Redis. The first heartbeat may be from before the workers were there.
    const heartbeat = await until(
      CHANGE_MS,
      async () => {
        const told = JSON.parse(await redis.command('GET', `mailmux:instance:${two.id}`)) as { sessions?: number }
        return told.sessions === 1 ? told : undefined
      },
      () => 'no heartbeat with the session',
    )
    assert.deepEqual(Object.keys(heartbeat), ['host', 'pid', 'version', 'generation', 'workers', 'sessions', 'since'])
    assert.ok(Number(await redis.command('TTL', `mailmux:instance:${two.id}`)) <= 15)
  } finally {
    client.destroy()
  }
})

test('the command lists both, and lists and ends the sessions of both', async () => {
  const { code, stdout, stderr } = await mailmux('instances', first)
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /^HOST +ID +STATE +VERSION +GENERATION +WORKERS +SESSIONS +AGE\n/)
  assert.equal(stdout.match(/ up /g)?.length, 2)
  assert.match(stdout, /\n2 instances\n$/)

  const clients = [first, first, second, second, second].map(({ ports }) => connect(ports.imapClear, '127.0.0.1'))
  try {
    await Promise.all(clients.map((client) => once(client, 'data')))
    const list = await mailmux('sessions', first, '--listener', 'imap-none', '--json')
    const answer = sessionsAnswer.parse(JSON.parse(list.stdout))
    assert.deepEqual([list.code, list.stderr, answer.total, answer.scope], [0, '', 5, 'all'])
    assert.deepEqual(answer.instances?.map(({ total }) => total).sort(), [2, 3])
    const ends = clients.map((client) => once(client.resume(), 'close'))
    const end = await mailmux('sessions', first, 'end', '--listener', 'imap-none')
    assert.deepEqual([end.code, end.stderr], [0, ''])
    assert.match(end.stdout, /^5 sessions end at a safe point \(.*: 2, .*: 3, of which worker 1: \d, worker 2: \d\)\n$/)
    await Promise.all(ends)
    const line = await second.waitForLog(({ msg }) => msg === 'sessions ended by operator', 'the line at the other')
    assert.deepEqual([line.ended, line.listener, line.now], [3, 'imap-none', false])
    assert.match(String(line.from), /\/[\da-f]{12}$/)
    const own = await first.waitForLog(({ msg }) => msg === 'sessions ended by operator', 'the line at the first')
    assert.deepEqual([own.ended, own.peer], [5, '127.0.0.1'])
  } finally {
    for (const client of clients) client.destroy()
  }
})

test('an instance that is frozen is named, and answers again afterwards', async () => {
  second.program.signal('SIGSTOP')
  try {
    const asked = await ask(first)
    const frozen = asked.instances.find(({ self }) => !self)
    assert.ok(frozen && frozen.state !== 'up', JSON.stringify(asked))
    const list = await mailmux('sessions', first)
    assert.equal(list.code, 1)
    assert.match(list.stderr, new RegExp(`^mailmux sessions: ${frozen.host}/${frozen.id} `))
    // Its heartbeat expires, but it may still have sessions.
    await until(
      CHANGE_MS,
      async () =>
        (await ask(first)).instances.some(({ id, state }) => id === frozen.id && state === 'lost') || undefined,
      () => 'the frozen instance is not lost',
    )
    await counted(first, 1)
  } finally {
    second.program.signal('SIGCONT')
  }
  await listed(first, { [first.pid]: ['up'], [second.pid]: ['up'] })
  await counted(first, 2)
})

test('an outage of Redis changes nothing but the scope, and the heartbeats go on afterwards', async () => {
  await redis.kill()
  const { why } = await listed(first, { [first.pid]: ['up'] }, 'partial')
  assert.match(why ?? '', /^Redis: /u)
  await first.waitForLog(({ msg }) => msg === 'exchange between instances fails', 'the outage')
  assert.equal(await instancesOf(second).then(Boolean), true)
  await redis.restart()
  await listed(first, { [first.pid]: ['up'], [second.pid]: ['up'] })
  await listed(second, { [first.pid]: ['up'], [second.pid]: ['up'] })
  const lines = first.log().filter(({ msg }) => msg.startsWith('exchange between instances'))
  assert.deepEqual(
    lines.map(({ msg, step }) => [msg, step]),
    [
      ['exchange between instances fails', 'connection'],
      ['exchange between instances works again', 'connection'],
    ],
  )
})

test('an instance that stops in order disappears at once', async () => {
  await second.stop()
  const { instances, scope } = await ask(first)
  assert.deepEqual([instances.map(({ pid }) => pid), scope], [[first.pid], 'all'])
  assert.equal(await redis.command('ZCARD', 'mailmux:instances'), '1')
  await counted(first, 1)
})
