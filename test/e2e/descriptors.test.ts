/** Clients, sessions and back ends if the limit of open files is low, or is reached. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { stringify, parse } from 'yaml'
import { readFile, writeFile } from 'node:fs/promises'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until, within } from '../support/deadline.ts'
import { startFaultyBackend } from '../support/faulty-backend.ts'
import { startMailmux, type Mailmux, type MailmuxOptions, type YamlMap } from '../support/mailmux.ts'
import { lacks } from '../support/runtime.ts'
import { openScene } from '../support/scene.ts'
import { connectPeer, type ScriptedPeer } from '../support/scripted-peer.ts'

type Place = { mailmux: Mailmux; open: () => Promise<ScriptedPeer> }

/** mailmux in one process, before a back end that accepts each login and is checked each second. */
async function start(t: TestContext, options: Partial<MailmuxOptions>): Promise<Place> {
  const scene = openScene()
  t.after(() => scene.close())
  const authority = await makeAuthority(scene.directory)
  const backend = await startFaultyBackend(scene, 'imap', { fault: 'none' })
  const mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: {
      store1: { host: '127.0.0.1', imap: backend.port, tls: 'none', health: { check: 'tcp', interval: '1s', fall: 1 } },
    },
    domains: { 'example.test': 'store1' },
    ...options,
    settings: { workers: 1, ...options.settings },
  })
  return { mailmux, open: () => connectPeer(scene, { port: mailmux.ports.imapClear }) }
}

const BYE = '* BYE [UNAVAILABLE] Too many connections, please try again later.'

/** With a limit of so many open files the process keeps what it has and gets no more. */
function lowestFree(pid: number): number {
  const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number))
  let free = 0
  while (used.has(free)) free++
  return free
}

async function firstLine(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  await until(
    START_DEADLINE_MS,
    () => text.includes('\r\n') || socket.destroyed || undefined,
    () => 'no line',
  )
  return text.split('\r\n')[0] ?? ''
}

async function connectMany(t: TestContext, port: number, count: number): Promise<{ socket: Socket; line: string }[]> {
  const all = []
  for (let nth = 0; nth < count; nth++) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined)
    t.after(() => socket.destroy())
    all.push({ socket, line: await firstLine(socket) })
  }
  return all
}

test('the soft limit of open files is raised to the hard one at the start', async (t) => {
  const { mailmux } = await start(t, { openFiles: '256:900' })
  assert.match(readFileSync(`/proc/${mailmux.pid}/limits`, 'latin1'), /^Max open files +900 +900 /m)
  assert.equal(await mailmux.metric('mailmux_connections_max'), 349)
})

test('clients beyond what the descriptors are enough for get BYE, and sessions go on', async (t) => {
  const { mailmux, open } = await start(t, { openFiles: '128:128' })
  const max = (await mailmux.metric('mailmux_connections_max')) ?? 0
  assert.equal(max, 32)
  const session = await open()
  await session.expect(/^\* OK/)
  session.send('a login user@example.test secret')
  await session.expectUntil(/^a OK/)
  const clients = await connectMany(t, mailmux.ports.imapClear, 60)
  const greeted = clients.filter(({ line }) => line.startsWith('* OK'))
  const told = clients.filter(({ line }) => line === BYE)
  assert.deepEqual([greeted.length, told.length], [max - 1, 60 - (max - 1)])
  assert.equal(await mailmux.metric('mailmux_connections_rejected_total{reason="too-many-connections"}'), told.length)
  assert.equal(await mailmux.metric('mailmux_connections'), max)
  assert.equal(mailmux.log().filter(({ msg }) => msg === 'too many connections').length, 1)
  session.send('b capability')
  await session.expectUntil(/^b OK/)
  // A place that is free again is given again.
  greeted[0]?.socket.destroy()
  await until(
    START_DEADLINE_MS,
    async () => ((await mailmux.metric('mailmux_connections')) ?? max) < max || undefined,
    () => 'no place is free again',
  )
  await (await open()).expect(/^\* OK/)
  assert.equal(await mailmux.metric('mailmux_backend_up{backend="store1"}'), 1)
})

test('max_connections is reloaded, and one that the limit of open files is too low for is warned of', async (t) => {
  const { mailmux } = await start(t, { openFiles: '1000:1000', limits: { max_connections: 2 } })
  const lines = async () => (await connectMany(t, mailmux.ports.imapClear, 4)).map(({ line }) => line === BYE)
  assert.deepEqual(await lines(), [false, false, true, true])
  const main = parse(await readFile(mailmux.configFile, 'utf8')) as YamlMap
  await writeFile(mailmux.configFile, stringify({ ...main, limits: { max_connections: 100_000 } }))
  mailmux.program.signal('SIGHUP')
  const warning = await mailmux.waitForLog(({ msg }) => msg.startsWith('limit of open files too low'), 'the warning')
  assert.deepEqual([warning.maxConnections, warning.openFiles, warning.possible], [100_000, 1000, 399])
  assert.deepEqual(await lines(), [false, false, false, false])
})

test('two workers part what is configured', async (t) => {
  const { mailmux } = await start(t, { limits: { max_connections: 30 }, settings: { workers: 2 } })
  // A scrape waits a second for the workers: on a busy machine the first one may lack a worker.
  let parts: number | undefined
  await until(
    START_DEADLINE_MS,
    async () => (parts = await mailmux.metric('mailmux_connections_max')) === 30 || undefined,
    () => `the parts are ${parts}`,
  )
})

test(
  'descriptors that are used up put no back end down, are logged once and counted, and their end is the end of it',
  { expectFailure: lacks('acceptErrors') },
  async (t) => {
    const { mailmux, open } = await start(t, {})
    const session = await open()
    await session.expect(/^\* OK/)
    session.send('a login user@example.test secret')
    await session.expectUntil(/^a OK/)
    const client = await open()
    await client.expect(/^\* OK/)
    const limitTo = (count: number): void => {
      execFileSync('prlimit', ['--pid', String(mailmux.pid), `--nofile=${count}:`])
    }
    const before = Number(/^Max open files +(\d+)/m.exec(readFileSync(`/proc/${mailmux.pid}/limits`, 'latin1'))?.[1])
    limitTo(lowestFree(mailmux.pid))
    mailmux.program.signal('SIGHUP') // the files cannot be read now, and are read as soon as they can
    client.send('b login user@example.test secret')
    const answers = await client.expectUntil(/^b /, START_DEADLINE_MS)
    assert.match(answers.at(-1) ?? '', /^b NO \[UNAVAILABLE\]/)
    const places = ['accept', 'backend', 'check', 'configuration']
    for (const place of places) {
      const isIt = ({ msg, place: told }: { msg: string; place?: unknown }): boolean =>
        msg === 'local shortage' && told === place
      await mailmux.waitForLog(isIt, `the shortage of ${place}`, START_DEADLINE_MS)
    }
    const closed = connect(mailmux.ports.imapClear, '127.0.0.1').on('error', () => undefined)
    await within(
      START_DEADLINE_MS,
      once(closed.resume(), 'close'),
      () => 'a connection without a descriptor stays open',
    )
    session.send('b capability')
    await session.expectUntil(/^b OK/)
    limitTo(before)
    client.send('c login user@example.test secret')
    await client.expectUntil(/^c OK/, START_DEADLINE_MS)
    for (const place of places) {
      assert.ok(((await mailmux.metric(`mailmux_local_shortages_total{place="${place}"}`)) ?? 0) >= 1, place)
      assert.equal(
        mailmux.log().filter((line) => line.msg === 'local shortage' && line.place === place).length,
        1,
        place,
      )
    }
    await mailmux.waitForLog(({ msg }) => msg === 'configuration taken over', 'the reload', START_DEADLINE_MS)
    const never = ['back end down', 'configuration not taken over', 'defect']
    assert.equal(mailmux.log().filter(({ msg }) => never.includes(msg)).length, 0)
    assert.equal(await mailmux.metric('mailmux_backend_up{backend="store1"}'), 1)
    const refused = mailmux.log().find(({ msg }) => msg === 'login refused')
    assert.deepEqual([refused?.code, refused?.reason], ['local-shortage', 'unavailable'])
  },
)
