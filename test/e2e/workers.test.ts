/** Several workers of one mailmux: the effects of a crash, a hang, a reload and a stop on clients and operators. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { after, afterEach, before, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { parse, stringify } from 'yaml'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { markerSubject } from '../support/dovecot.ts'
import type { MailClient } from '../support/mail-client.ts'
import type { YamlMap } from '../support/mailmux.ts'
import { waitUntilEnded, listProcesses } from '../support/process-tree.ts'
import { lacks } from '../support/runtime.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'
import { watchWorkers, type Workers } from '../support/workers.ts'

const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'
/** Chance hands connections to workers: that so many all go to one is as likely as no accident at all. */
const MANY = 60

let site: Site
let workers: Workers
before(async () => {
  site = await startSite({ mailmux: { settings: { workers: 2 } } })
  workers = watchWorkers(site.mailmux, 2)
})
after(() => site.close())
afterEach(() => workers.allServe())

/** Logs the user in until every worker has one of his sessions; gives one of each, by the worker's number. */
async function inEachWorker(user: string): Promise<Map<number, MailClient>> {
  const clients = new Map<number, MailClient>()
  for (let count = 0; count < MANY && clients.size < 2; count++) {
    const before = new Set((await workers.sessions(`?user=${user}`)).sessions.map(({ id }) => id))
    const client = await site.open('imap', 'clear')
    assert.ok((await client.login(user, PASSWORD)).accepted)
    const { sessions } = await workers.sessions(`?user=${user}`)
    const worker = sessions.find(({ id }) => !before.has(id))?.worker
    assert.ok(worker !== undefined, 'the session is not listed')
    if (clients.has(worker)) await client.quit()
    else clients.set(worker, client)
  }
  assert.deepEqual([...clients.keys()].sort(), [1, 2])
  return clients
}

type Visit = { startedMs: number; how: 'greeted' | 'refused' | 'broken' | 'silent' }

/** Connects, waits for the greeting, and goes. */
function visit(waitMs = 20_000): Promise<Visit> {
  const startedMs = performance.now()
  return new Promise((resolve) => {
    const socket = connect(site.mailmux.ports.imap, '127.0.0.1')
    const timer = setTimeout(() => end('silent'), waitMs)
    const end = (how: Visit['how']): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ startedMs, how })
    }
    socket.once('data', () => end('greeted'))
    socket.once('end', () => end('broken'))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED' ? 'refused' : 'broken'))
  })
}

const AT_ONCE = 8

/** Visits without a pause until `isOver`. */
async function visitUntil(isOver: () => boolean): Promise<Visit[]> {
  const visits: Visit[] = []
  const go = async () => {
    while (!isOver()) visits.push(await visit())
  }
  await Promise.all(Array.from({ length: AT_ONCE }, go))
  return visits
}

const failed = (visits: readonly Visit[]) => visits.filter(({ how }) => how !== 'greeted')
const ends = () => workers.lines('worker ended').length

test('both serve, and the list of sessions has who is in which', async () => {
  const clients = await inEachWorker(ALICE)
  for (const client of clients.values()) assert.deepEqual(await client.subjects(), [markerSubject('store1', ALICE)])
  const { sessions, total, incomplete } = await workers.sessions(`?user=${ALICE}`)
  assert.deepEqual([total, incomplete], [2, undefined])
  for (const session of sessions) {
    const { client, listener, protocol, phase, backend, ageSeconds } = session
    assert.deepEqual(
      [client, listener, protocol, phase, backend],
      ['127.0.0.1', 'imap-none', 'imap', 'relaying', 'store1'],
    )
    assert.ok(ageSeconds > 0 && ageSeconds < 600)
  }
  assert.ok(sessions[0]!.ageSeconds >= sessions[1]!.ageSeconds)
  assert.equal((await workers.sessions('?backend=store2')).total, 0)
  assert.deepEqual((await workers.sessions('?limit=1')).sessions.length, 1)
  assert.equal(await site.mailmux.metric('mailmux_sessions{protocol="imap",backend="store1"}'), 2)
  for (const client of clients.values()) await client.quit()
})

test('answers the API as one: the route, the back ends with their whole limits', async () => {
  const api = `http://127.0.0.1:${site.mailmux.ports.admin}/api/v1`
  const route = (await (await fetch(`${api}/routes/${ALICE}`)).json()) as { usable: boolean }
  assert.equal(route.usable, true)
  const { backends } = (await (await fetch(`${api}/backends`)).json()) as {
    backends: { name: string; up: boolean; load: { limits: { logins: number; queue: number } } }[]
  }
  assert.deepEqual(
    backends.map(({ name, up, load }) => [name, up, load.limits.logins, load.limits.queue]),
    ['store1', 'store2', 'store3'].map((name) => [name, true, 1000, 10_000]),
  )
})

test('resumes TLS in whichever worker it comes to', { expectFailure: lacks('ticketKeys') }, async () => {
  let session: Buffer | undefined
  const cameTo = new Set<number | undefined>()
  for (let count = 0; count < MANY && cameTo.size < 2; count++) {
    const options = { ...site.tls, port: site.mailmux.ports.imaps, host: '127.0.0.1' }
    const socket = connectTls({ ...options, ...(session && { session }) })
    socket.on('session', (ticket) => (session = ticket))
    await once(socket, 'data') // the greeting, before which the tickets come
    if (count > 0) assert.ok(socket.isSessionReused(), `not resumed after ${count} connections`)
    cameTo.add((await workers.sessions()).sessions.find(({ listener }) => listener === 'imap-implicit')?.worker)
    socket.destroy()
    await until(
      READ_DEADLINE_MS,
      async () => (await workers.sessions()).total === 0 || undefined,
      () => 'the connection does not end',
    )
  }
  assert.equal(cameTo.size, 2)
})

test('a worker that is killed takes its own sessions along and nothing else', async () => {
  const clients = await inEachWorker(ALICE)
  const [gone, alive] = [clients.get(1)!, clients.get(2)!]
  const before = (await site.mailmux.metric('mailmux_connections_total{protocol="imap",listener="imap-starttls"}')) ?? 0
  const endsBefore = ends()
  let over = false
  const visits = visitUntil(() => over)
  const pid = workers.pid(1)
  workers.signal('SIGKILL', 1)
  const { cause, againMs } = await site.mailmux.waitForLog(
    (line) => line.pid === pid && line.msg === 'worker ended',
    '',
  )
  const endedMs = performance.now()
  await gone.peer.expectClose()
  await until(
    START_DEADLINE_MS,
    () => workers.pid(1) !== pid || undefined,
    () => 'it is not started again',
  )
  over = true
  const made = await visits
  assert.deepEqual([cause, againMs, ends()], ['SIGKILL', 0, endsBefore + 1])
  // A connection that the worker held when it died is lost; no other is, and none is refused.
  assert.ok(failed(made).length <= AT_ONCE, JSON.stringify(failed(made)))
  assert.deepEqual(
    failed(made).filter(({ startedMs, how }) => startedMs > endedMs || how !== 'broken'),
    [],
  )
  assert.ok(made.filter(({ startedMs }) => startedMs > endedMs).length > 0, 'nobody came meanwhile')
  assert.deepEqual(await alive.subjects(), [markerSubject('store1', ALICE)])
  await alive.quit()
  await workers.allServe()
  const greeted = made.length - failed(made).length
  const counted = await site.mailmux.metric('mailmux_connections_total{protocol="imap",listener="imap-starttls"}')
  assert.ok(counted! >= before && counted! <= before + made.length, `${before} and ${greeted} make ${counted}`)
  assert.ok(((await site.mailmux.metric('mailmux_worker_restarts_total')) ?? 0) >= 1)
})

test(
  'those who come while all workers are dead are served when they are back',
  { expectFailure: lacks('boundSocket') },
  async () => {
    const endsBefore = ends()
    workers.signal('SIGKILL', 1, 2)
    const bothEnded = () => ends() === endsBefore + 2 || undefined
    await until(READ_DEADLINE_MS, bothEnded, () => 'they do not end')
    const visits = await Promise.all(Array.from({ length: 40 }, () => visit(2 * START_DEADLINE_MS)))
    assert.deepEqual(failed(visits), [])
  },
)

test('what has been counted outlives the worker that has counted it', async () => {
  const logins = 'mailmux_logins_total{protocol="imap",mechanism="LOGIN",outcome="accepted"}'
  for (const client of (await inEachWorker(BOB)).values()) await client.quit()
  const before = await site.mailmux.metric(logins)
  assert.ok(before! >= 2)
  workers.signal('SIGKILL', 1, 2)
  await until(
    START_DEADLINE_MS,
    async () => (await workers.count('up')) === 0 || undefined,
    () => 'they live on',
  )
  assert.equal(await site.mailmux.metric(logins), before)
  await workers.allServe()
  assert.equal(await site.mailmux.metric(logins), before)
})

test('a worker that hangs holds up no scrape, no list of sessions and no new client', async () => {
  const clients = await inEachWorker(BOB)
  const connections = 'mailmux_connections_total{protocol="imap",listener="imap-none"}'
  const before = await site.mailmux.metric(connections)
  workers.signal('SIGSTOP', 2)
  try {
    const started = performance.now()
    assert.ok((await site.mailmux.metric(connections))! >= before!)
    const { sessions, incomplete } = await workers.sessions(`?user=${BOB}`)
    assert.deepEqual([sessions.map(({ worker }) => worker), incomplete], [[1], [2]])
    assert.ok(performance.now() - started < READ_DEADLINE_MS, 'it was waited for')
    const visits = await Promise.all(Array.from({ length: 20 }, () => visit()))
    assert.deepEqual(failed(visits), [])
    const { worker } = await site.mailmux.waitForLog((line) => line.msg === 'worker does not answer', '', 20_000)
    assert.equal(worker, 2)
    assert.deepEqual([await workers.count('up'), await workers.count('not-answering')], [1, 1])
    assert.ok((await site.mailmux.metric(connections))! >= before!)
    assert.equal((await fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/readyz`)).status, 200)
  } finally {
    workers.signal('SIGCONT', 2)
  }
  await site.mailmux.waitForLog((line) => line.msg === 'worker answers again', '', 20_000)
  for (const client of clients.values()) {
    assert.deepEqual(await client.subjects(), [markerSubject('store2', BOB)])
    await client.quit()
  }
})

test('a change of the files reaches every worker, and a mistake in them is logged and counted once', async () => {
  const text = await readFile(site.mailmux.routingFile, 'utf8')
  const failures = 'mailmux_config_reloads_total{outcome="failure"}'
  const successes = 'mailmux_config_reloads_total{outcome="success"}'
  const before = [await site.mailmux.metric(failures), await site.mailmux.metric(successes)]
  const takenOver = () => workers.lines('configuration taken over').length
  const changeTo = async (changed: string) => {
    const count = takenOver()
    await writeFile(site.mailmux.routingFile, changed)
    await until(
      START_DEADLINE_MS,
      () => takenOver() > count || undefined,
      () => 'the change is not taken over',
    )
  }
  const moved = parse(text) as { users: YamlMap }
  moved.users[ALICE] = 'store2'
  await changeTo(stringify(moved))
  for (const client of (await inEachWorker(ALICE)).values()) {
    assert.deepEqual(await client.subjects(), [markerSubject('store2', ALICE)])
    await client.quit()
  }
  await writeFile(site.mailmux.routingFile, 'backends: 7\n')
  await site.mailmux.waitForLog((line) => line.msg === 'configuration not taken over', 'the mistake')
  // One that is started meanwhile has the configuration that is in force.
  const pid = workers.pid(1)
  workers.signal('SIGKILL', 1)
  await until(
    START_DEADLINE_MS,
    () => workers.pid(1) !== pid || undefined,
    () => 'it is not started again',
  )
  for (const client of (await inEachWorker(ALICE)).values()) {
    assert.deepEqual(await client.subjects(), [markerSubject('store2', ALICE)])
    await client.quit()
  }
  assert.equal(workers.lines('configuration not taken over').length, 1)
  await changeTo(text)
  const after = [await site.mailmux.metric(failures), await site.mailmux.metric(successes)]
  assert.deepEqual(after, [before[0]! + 1, before[1]! + 2])
})

test('SIGTERM ends the sessions of all workers with a goodbye, and leaves no process and exit code 0', async () => {
  const clients = await inEachWorker(BOB)
  const processes = listProcesses(site.mailmux.pid)
  assert.equal(processes.length, 3)
  const stopped = site.mailmux.stop()
  for (const { peer } of clients.values()) {
    await peer.expectUntil(/^\* BYE /)
    await peer.expectClose()
  }
  await stopped
  assert.deepEqual([workers.lines('shutting down').length, workers.lines('stopped').length], [1, 1])
  await waitUntilEnded(processes)
  workers.allServe = () => Promise.resolve()
})
