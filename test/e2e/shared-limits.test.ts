/** Limits on clients over two instances with two workers each and a real Redis: exact, and put right when an instance or Redis dies. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { limitsListed } from '../../src/admin/limit-routes.ts'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startNamedMailmux, type Mailmux } from '../support/mailmux.ts'
import { startPasswordStore } from '../support/password-store.ts'
import { startRedis, type Redis } from '../support/redis.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { openScene } from '../support/scene.ts'
import { directoryConnected } from '../support/site.ts'

const LIMIT = 5
const UNSHARED = 'limits on clients are not shared with other instances'

const scene = openScene()
const sockets = new Set<Socket>()
let redis: Redis
let start: (name: string) => Promise<Mailmux>
let first: Mailmux
let second: Mailmux

before(async () => {
  const certificate = await (await makeAuthority(scene.directory)).issue('mailmux')
  const store = await startPasswordStore(scene)
  redis = await startRedis(scene)
  start = async (name) => {
    const mailmux = await startNamedMailmux(scene, name, {
      certificate,
      backends: { store1: { host: '127.0.0.1', imap: store.port } },
      domains: { 'example.test': 'store1' },
      users: { 'outage@example.test': 'store1', 'other@example.test': 'store1' }, // who need no Redis
      directory: { redis: { url: redis.url, prefix: 'mailmux:', timeout: '2s' } },
      limits: { failure_delay: '0s', sessions_per_user: LIMIT },
      settings: { workers: 2 },
    })
    await directoryConnected(mailmux)
    await isShared(mailmux, 1)
    return mailmux
  }
  first = await start('one')
  second = await start('two')
})
after(async () => {
  for (const socket of sockets) socket.destroy()
  await scene.close()
})

async function isShared(at: Mailmux, value: number): Promise<void> {
  await until(
    START_DEADLINE_MS,
    async () => (await at.metric('mailmux_limits_shared')) === value || undefined,
    () => `mailmux_limits_shared is not ${value}`,
  )
}

async function instancesAre(count: number): Promise<void> {
  for (const at of [first, second])
    await until(
      2 * START_DEADLINE_MS,
      async () => (await at.metric('mailmux_instances')) === count || undefined,
      () => `there are not ${count} instances`,
    )
}

/** @returns the answer to the login. The connection stays open */
async function logIn(at: Mailmux, user: string): Promise<string> {
  const socket = connect({ port: at.ports.imapClear, host: '127.0.0.1' })
  sockets.add(socket)
  socket.on('error', () => undefined)
  let text = ''
  const line = (wanted: RegExp): Promise<string> =>
    until(
      READ_DEADLINE_MS,
      () => text.split('\r\n').find((one) => wanted.test(one)),
      () => `no line like ${wanted.source} in: ${text}`,
    )
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  await line(/^\* OK/u)
  socket.write(`a LOGIN ${user}@example.test secret\r\n`)
  return line(/^a /u)
}

async function logInMany(user: string, places: readonly Mailmux[]): Promise<number> {
  const answers = await Promise.all(places.map((at) => logIn(at, user)))
  const accepted = answers.filter((answer) => answer.startsWith('a OK'))
  const refused = answers.filter((answer) => answer === 'a NO [LIMIT] Too many sessions.')
  assert.equal(accepted.length + refused.length, places.length, answers.join('\n'))
  return accepted.length
}

const alternating = (count: number): Mailmux[] =>
  Array.from({ length: count }, (_, index) => (index % 2 === 0 ? first : second))

test('20 parallel logins of one user on both instances: as many sessions as the limit, and the command shows them', async () => {
  assert.equal(await logInMany('exact', alternating(20)), LIMIT)
  const { code, stdout } = await run(MAILMUX_RUNTIME, [MAIN, 'limits', '-c', second.configFile], {
    ms: START_DEADLINE_MS,
  })
  assert.match(stdout, /^sessions_per_user +imap +exact@example\.test +5 +5 +\S/mu)
  assert.equal(code, 0)
  const json = await run(MAILMUX_RUNTIME, [MAIN, 'limits', '--json', '-c', first.configFile], { ms: START_DEADLINE_MS })
  const { limits } = limitsListed.parse(JSON.parse(json.stdout))
  const one = limits.find(({ subject }) => subject === 'exact@example.test')
  assert.deepEqual([one?.count, one?.most], [LIMIT, LIMIT])
})

test('the sessions of an instance that was killed do not count any more, once its heartbeat has expired', async () => {
  const third = await start('three')
  assert.equal(await logInMany('killed', Array<Mailmux>(7).fill(third)), LIMIT)
  assert.equal(await logInMany('killed', alternating(4)), 0)
  process.kill(third.pid, 'SIGKILL')
  await until(
    2 * START_DEADLINE_MS,
    async () => (await logIn(second, 'killed')).startsWith('a OK') || undefined,
    () => 'the user is kept out by the dead instance',
  )
  assert.equal(await logInMany('killed', alternating(8)), LIMIT - 1)
})

test('without Redis each instance has its part of the limit and says so once; afterwards all sessions count again', async () => {
  await instancesAre(2)
  assert.equal(await logInMany('outage', [first, second]), 2)
  const lines = (at: Mailmux) => at.log().filter(({ msg }) => msg === UNSHARED).length
  const before = [lines(first), lines(second)]
  await redis.kill()
  // The part of each is 2, and each has one session already.
  assert.equal(await logInMany('outage', alternating(10)), 2)
  await Promise.all([first, second].map((at) => isShared(at, 0)))
  assert.equal(await logInMany('other', alternating(10)), 4)
  assert.deepEqual([lines(first), lines(second)], [(before[0] ?? 0) + 1, (before[1] ?? 0) + 1])
  await redis.restart()
  await Promise.all([first, second].map((at) => isShared(at, 1)))
  assert.equal(await logInMany('outage', alternating(10)), 1)
  assert.equal(await logInMany('other', alternating(10)), 1)
})
