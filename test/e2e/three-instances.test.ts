/** Three instances at work at once, with one Redis and real stores: a user with sessions everywhere is moved, and a store is restarted in a pause. */
import assert from 'node:assert/strict'
import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pass } from 'node:timers/promises'
import { sessionsAnswer } from '../../src/admin/answers.ts'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startNamedMailmux, toBackend } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { startProgram } from '../support/processes.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { run } from '../support/run.ts'
import { openScene, openVisit, type Scene } from '../support/scene.ts'
import { connectPeer, type ScriptedPeer } from '../support/scripted-peer.ts'
import { directoryConnected, instancesListed, PASSWORD } from '../support/site.ts'

const [NODE = '', ...NODE_OPTIONS] = NODE_OF_COMMAND
const ALICE = 'alice@example.test'
const OTHERS = Array.from({ length: 20 }, (_, index) => `user${index}@example.test`)
const WORKERS = [2, 1, 2]

type Instance = { mailmux: Mailmux; sieve: number }

const scene = openScene()
let stores: [Dovecot, Dovecot]
let redis: Redis
let instances: Instance[]

before(async () => {
  const certificate = await (await makeAuthority(scene.directory)).issue('mailmux')
  const users = Object.fromEntries([ALICE, ...OTHERS].map((user) => [user, PASSWORD]))
  const startStore = (name: string) => startDovecot(scene, { name, users, sieve: true })
  stores = await Promise.all([startStore('store1'), startStore('store2')])
  scene.closeLater(async () => {
    await Promise.all(stores.map((store) => store.stop()))
  })
  redis = await startRedis(scene)
  for (const user of [ALICE, ...OTHERS]) await redis.command('HSET', `mailmux:user:${user}`, 'backend', 'store1')
  instances = await Promise.all(
    WORKERS.map(async (workers, index) => {
      const sieve = await freePort()
      const mailmux = await startNamedMailmux(scene, `instance${index + 1}`, {
        certificate,
        backends: Object.fromEntries(stores.map((store) => [store.name, toBackend(store)])),
        directory: { redis: { url: redis.url, prefix: 'mailmux:', timeout: '500ms' } },
        listeners: [
          {
            name: 'sieve',
            protocol: 'managesieve',
            listen: `127.0.0.1:${sieve}`,
            tls: 'none',
            allow_plaintext_auth: true,
          },
        ],
        adminToken: 'token',
        settings: { workers },
      })
      await directoryConnected(mailmux)
      return { mailmux, sieve }
    }),
  )
  await instancesListed(redis, instances.length)
})
after(() => scene.close())

const argsOf = (...words: string[]): string[] => [
  ...NODE_OPTIONS,
  MAIN,
  ...words,
  '-c',
  instances[0]?.mailmux.configFile ?? '',
]

async function logInToSieve(port: number): Promise<ScriptedPeer> {
  const peer = await connectPeer(scene, { port })
  await peer.expectUntil(/^OK/)
  const response = Buffer.from(`\0${ALICE}\0${PASSWORD}`).toString('base64')
  await peer.ask(`AUTHENTICATE "PLAIN" "${response}"`, /^OK/, START_DEADLINE_MS * 2)
  return peer
}

/** A session at rest of each protocol, and the line by which it ends. */
const SESSIONS: Record<string, { open: (instance: Instance) => Promise<ScriptedPeer>; goodbye: RegExp | undefined }> = {
  imap: {
    open: async ({ mailmux }) => {
      const client = await openMailClient(scene, 'imap', mailmux.ports.imapClear, 'clear', {})
      assert.ok((await client.login(ALICE, PASSWORD)).accepted)
      client.peer.send('s SELECT INBOX')
      await client.peer.expectUntil(/^s OK/)
      await client.peer.ask('i IDLE', /^\+/)
      return client.peer
    },
    goodbye: /^\* BYE \[UNAVAILABLE\] The mailbox has moved/,
  },
  // A server of POP3 says nothing without a command (RFC 1939 section 3).
  pop3: {
    open: async ({ mailmux }) => {
      const client = await openMailClient(scene, 'pop3', mailmux.ports.pop3Clear, 'clear', {})
      assert.ok((await client.login(ALICE, PASSWORD)).accepted)
      return client.peer
    },
    goodbye: undefined,
  },
  managesieve: { open: ({ sieve }) => logInToSieve(sieve), goodbye: /^BYE \(TRYLATER\) / },
}

/** The store that a login reaches, by what only that store has. */
const ARRIVALS: Record<string, (instance: Instance) => Promise<string | undefined>> = {
  imap: ({ mailmux }) => storeByMail('imap', mailmux.ports.imapClear),
  pop3: ({ mailmux }) => storeByMail('pop3', mailmux.ports.pop3Clear),
  managesieve: async ({ sieve }) => {
    const peer = await logInToSieve(sieve)
    peer.send('LISTSCRIPTS')
    const lines = await peer.expectUntil(/^OK/)
    peer.destroy()
    return /^"(\w+)"/.exec(lines[0] ?? '')?.[1]
  },
}

async function storeByMail(protocol: 'imap' | 'pop3', port: number): Promise<string | undefined> {
  const client = await openMailClient(scene, protocol, port, 'clear', {})
  const { accepted, answer } = await client.login(ALICE, PASSWORD)
  assert.ok(accepted, answer)
  const [subject = ''] = await client.subjects()
  await client.quit()
  return /^You are on (\w+)/.exec(subject)?.[1]
}

async function uploadScript(store: Dovecot): Promise<void> {
  const peer = await logInToSieve(store.ports.managesieve ?? 0)
  await peer.ask(`PUTSCRIPT "${store.name}" "keep;"`, /^OK/)
  peer.destroy()
}

/** At all instances, as the first one is told by the others. */
async function countSessions(user: string): Promise<number> {
  const url = `http://127.0.0.1:${instances[0]?.mailmux.ports.admin}/api/v1/sessions?user=${encodeURIComponent(user)}`
  const response = await fetch(url, { headers: { authorization: 'Bearer token' } })
  const { total, scope } = sessionsAnswer.parse(await response.json())
  assert.equal(scope, 'all')
  return total
}

/** One for each instance and protocol. */
const everywhere = <T>(work: (instance: Instance, protocol: string) => Promise<T>): Promise<T[]> =>
  Promise.all(instances.flatMap((instance) => Object.keys(SESSIONS).map((protocol) => work(instance, protocol))))

test('a user with sessions at three instances in three protocols is moved after the last goodbye', async () => {
  await Promise.all(stores.map(uploadScript))
  const sessions = await everywhere(async (instance, protocol) => ({
    peer: await SESSIONS[protocol]!.open(instance),
    goodbye: SESSIONS[protocol]!.goodbye,
  }))
  const at = (name: string): string => join(scene.directory, name)
  const command = `[ $MAILMUX_PASS = 1 ] || { touch ${at('final')}; while [ ! -e ${at('go')} ]; do sleep 0.1; done; }`
  const program = startProgram(scene, {
    name: 'move',
    command: NODE,
    args: argsOf('move', ALICE, 'store2', '--run', command),
  })
  await until(
    START_DEADLINE_MS * 3,
    () =>
      access(at('final')).then(
        () => true,
        () => undefined,
      ),
    () => `the last copy does not begin: ${program.stdout()}${program.stderr()}`,
  )
  assert.equal(await countSessions(ALICE), 0)
  await Promise.all(
    sessions.map(async ({ peer, goodbye }) => {
      if (goodbye) await peer.expectUntil(goodbye)
      await peer.expectClose()
    }),
  )
  const arrivals = everywhere((instance, protocol) => ARRIVALS[protocol]!(instance))
  await until(
    START_DEADLINE_MS,
    async () => (await countSessions(ALICE)) === sessions.length || undefined,
    () => 'not every login waits',
  )
  await writeFile(at('go'), '')
  assert.deepEqual(await program.exited, { code: 0, signal: null }, program.stderr())
  assert.deepEqual(
    await arrivals,
    sessions.map(() => 'store2'),
  )
})

const EVERY_MS = 20
const OUTAGE_MS = 5000

test('a store restarts in a pause under 50 logins a second, and none fails', async () => {
  const failed: string[] = []
  const logins: Promise<void>[] = []
  const backend = async (...words: string[]): Promise<void> => {
    const { code, stderr } = await run(NODE, argsOf('backend', ...words), { ms: START_DEADLINE_MS * 2 })
    assert.equal(code, 0, stderr)
  }
  async function logIn(number: number): Promise<void> {
    const visit: Scene = openVisit(scene)
    const protocol = number % 5 === 0 ? 'pop3' : 'imap'
    try {
      const { ports } = instances[number % instances.length]!.mailmux
      const port = protocol === 'pop3' ? ports.pop3Clear : ports.imapClear
      // Each network has a share of the logins of a back end.
      const address = { port, localAddress: `127.${1 + (number % 200)}.0.1` }
      const client = await openMailClient(visit, protocol, address, 'clear', {})
      const { accepted, answer } = await client.login(OTHERS[number % OTHERS.length] ?? '', PASSWORD)
      if (!accepted) failed.push(`${number} ${protocol}: ${answer}`)
    } catch (error) {
      failed.push(`${number} ${protocol}: ${String(error)}`)
    } finally {
      await visit.close()
    }
  }
  const state = { isOver: false }
  async function keepComing(): Promise<void> {
    const startMs = performance.now()
    for (let number = 0; !state.isOver; number++) {
      logins.push(logIn(number))
      await pass(Math.max(0, startMs + (number + 1) * EVERY_MS - performance.now()))
    }
  }
  const coming = keepComing()
  await until(
    START_DEADLINE_MS,
    () => logins.length > 50 || undefined,
    () => 'no logins come',
  )
  await backend('pause', 'store1')
  await Promise.all(
    instances.map(({ mailmux }) =>
      until(
        START_DEADLINE_MS,
        async () => (await mailmux.metric('mailmux_backend_state{backend="store1",state="pause"}')) === 1 || undefined,
        () => 'an instance does not pause',
      ),
    ),
  )
  // Logins that were on their way reach the store first.
  await until(
    START_DEADLINE_MS,
    async () => {
      const waiting = instances.map(({ mailmux }) => mailmux.metric('mailmux_backend_logins{backend="store1"}'))
      return (await Promise.all(waiting)).every((count) => !count) || undefined
    },
    () => 'logins are still on their way',
  )
  await stores[0].stop()
  await pass(OUTAGE_MS)
  await stores[0].restart()
  await backend('up', 'store1')
  const before = logins.length
  await until(
    START_DEADLINE_MS,
    () => logins.length > before + 50 || undefined,
    () => 'no logins come',
  )
  state.isOver = true
  await coming
  await Promise.all(logins)
  assert.deepEqual(failed, [])
  assert.ok(logins.length > 200, `${logins.length} logins`)
})
