/** The measures of the scale run, one function a part. README.md says what each is, and how it misleads. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pass } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startChild } from '../bench/child.ts'
import type { LoadAnswer, Order } from '../bench/load-orders.ts'
import { cpuBetween, readCpu, readMemoryKiB } from '../bench/process-usage.ts'
import { makeAuthority } from '../support/certificates.ts'
import type { Redis } from '../support/redis.ts'
import type { Scene } from '../support/scene.ts'
import { mailmuxRedis } from '../bench/peers/mailmux.ts'
import { type Findings, runRounds } from '../bench/rounds.ts'
import { median } from '../bench/summary.ts'
import { idleWorkloads, workloads } from '../bench/workloads.ts'
import type * as Scale from './scale-figures.ts'
import { openFloodgate } from './scale-flood.ts'
import type { InstanceOrder } from './scale-instance.ts'
import { readInfo, startFullRedis, startInstance, startWhole } from './scale-site.ts'
import { openTrackers } from './scale-trackers.ts'
import { KEY, userName } from './write-routes.ts'

const run = promisify(execFile)

/** Redis gives memory back to the kernel late; what it counts itself is exact at once. */
export async function measureRedis(scene: Scene, routes: number): Promise<Scale.RedisFigures> {
  const weigh = async (fields: Record<string, string>) => {
    const empty = await startFullRedis(scene, 0)
    const before = {
      used: await readInfo(empty.redis, 'used_memory'),
      resident: await readInfo(empty.redis, 'used_memory_rss'),
    }
    await empty.redis.stop()
    const startedAt = performance.now()
    const { redis } = await startFullRedis(scene, routes, { fields })
    const loadSeconds = (performance.now() - startedAt) / 1000
    const used = (await readInfo(redis, 'used_memory')) - before.used
    const resident = (await readInfo(redis, 'used_memory_rss')) - before.resident
    await redis.stop()
    return { loadSeconds, bytes: used / routes, resident: resident / routes }
  }
  const { loadSeconds, bytes, resident } = await weigh({})
  const full = await weigh({ login: 'u000000000000', status: 'active' })
  return {
    routes,
    loadSeconds,
    bytesPerRoute: bytes,
    residentBytesPerRoute: resident,
    bytesPerFullRoute: full.bytes,
  }
}

/** For a garbage collection or two that Node does when nothing happens. */
const SETTLE_MS = 3_000

/** Every user is looked up once for a login; the accounts are disabled, so that a login ends with the lookup. */
export async function measureMemory(scene: Scene, routes: number, cacheSize: number): Promise<Scale.MemoryFigures> {
  const { redis } = await startFullRedis(scene, routes, { fields: { status: 'disabled' } })
  const whole = await startWhole(scene, { redis, cacheSize })
  const weigh = async () => {
    await pass(SETTLE_MS)
    return readMemoryKiB([whole.pid])
  }
  const freshKiB = await weigh()
  const flood = await openFloodgate(whole.clear)
  await flood(routes)
  const afterKiB = await weigh()
  await whole.stop()

  const instance = await startInstance(scene, { redis, cacheSize })
  const before = await instance.ask({ do: 'memory' })
  await instance.ask({ do: 'lookups', first: 0, count: routes, atOnce: 64 })
  const after = await instance.ask({ do: 'memory' })
  await instance.stop()
  const heapBytesPerUser = ((after.heapBytes ?? 0) - (before.heapBytes ?? 0)) / Math.min(cacheSize, routes)
  return { cacheSize, usersSeen: routes, freshKiB, afterKiB, heapBytesPerUser }
}

/** Routes that an instance remembers before warm lookups and changes: enough that no cache of a processor holds them. */
const REMEMBERED = 200_000

export async function measureLookups(scene: Scene, routes: number): Promise<Scale.LookupRow[]> {
  const { redis, pid } = await startFullRedis(scene, routes)
  const instance = await startInstance(scene, { redis, cacheSize: routes })
  const lookUp = async (order: Omit<InstanceOrder & { do: 'lookups' }, 'do'>) => {
    const before = readCpu([pid])
    const { lookups } = await instance.ask({ do: 'lookups', ...order })
    if (lookups === undefined) throw new Error('no figures')
    return { figures: lookups, redisCpuUs: (cpuBetween(before, readCpu([pid])).ms * 1000) / lookups.lookups }
  }
  const few = Math.min(20_000, Math.floor(routes / 10))
  await lookUp({ first: 0, count: few, atOnce: 16 }) // V8 has compiled all of it
  const rows = [
    { title: 'cold, one at a time', ...(await lookUp({ first: few, count: few, atOnce: 1 })) },
    { title: 'cold, 64 at once', ...(await lookUp({ first: 2 * few, count: 4 * few, atOnce: 64 })) },
  ]
  const remembered = Math.min(routes, REMEMBERED)
  await lookUp({ first: 0, count: remembered, atOnce: 64 })
  rows.push({
    title: 'warm, one at a time',
    ...(await lookUp({ first: 0, count: remembered, atOnce: 1, among: remembered })),
  })
  await instance.stop()
  return rows
}

const CHANGES_SECONDS = 8

/** Remembered routes are written at several rates, while the instance is told of each change. */
export async function measureChanges(scene: Scene, routes: number): Promise<Scale.ChangeRow[]> {
  const { redis } = await startFullRedis(scene, routes)
  const instance = await startInstance(scene, { redis, cacheSize: routes })
  const remembered = Math.min(routes, REMEMBERED)
  await instance.ask({ do: 'lookups', first: 0, count: remembered, atOnce: 64 })
  const last = remembered - 1
  const measure = async (write: () => Promise<number>, backend: string): Promise<Scale.ChangeRow> => {
    const ids = await trackingClients(redis)
    const watched = instance.ask({ do: 'lookups-until', user: last, backend, among: last })
    const startedAt = performance.now()
    const changes = await write()
    const perSecond = (changes * 1000) / (performance.now() - startedAt)
    // Told after all the others, on the same connection.
    await redis.command('HSET', `mailmux:user:${userName(last)}`, 'backend', backend)
    const { lookups } = await watched
    if (lookups === undefined) throw new Error('no figures')
    const cut = (await trackingClients(redis)) !== ids
    return { perSecond, changes, cut, seconds: lookups.seconds, cpuMs: lookups.cpuMs, lookups }
  }
  const atRate = (perSecond: number) => () => writeAtRate(redis, { perSecond, seconds: CHANGES_SECONDS, among: last })
  const rows = [
    await measure(atRate(0), 'store2'),
    await measure(atRate(1_000), 'store1'),
    await measure(atRate(20_000), 'store2'),
    await measure(() => writeAtFullSpeed(redis, routes, last).then(() => routes), 'store1'),
  ]
  await instance.stop()
  return rows
}

async function trackingClients(redis: Redis): Promise<string> {
  const clients = (await redis.command('CLIENT', 'LIST')).split('\n')
  return clients
    .map((line) => /^id=(\d+) .* flags=\w*[tB]/.exec(line)?.[1])
    .filter(Boolean)
    .join(' ')
}

/** Gives how many writes there were: so many in each hundredth of a second. Random users below `among`. */
async function writeAtRate(
  redis: Redis,
  { perSecond, seconds, among }: { perSecond: number; seconds: number; among: number },
): Promise<number> {
  const socket = connect({ host: '127.0.0.1', port: redis.port })
  await once(socket, 'connect')
  socket.resume() // the answers
  const startedAt = performance.now()
  let done = 0
  for (let passed = 0; passed < seconds; passed = (performance.now() - startedAt) / 1000) {
    const due = Math.min(passed, seconds) * perSecond
    let batch = ''
    for (; done < due; done++) {
      batch += `HSET ${KEY.before}${String(Math.floor(Math.random() * among)).padStart(12, '0')}${KEY.after} backend store1\r\n`
    }
    socket.write(batch)
    await pass(10)
  }
  socket.end('PING\r\n')
  await once(socket, 'close') // everything is answered
  return done
}

/** Gives writes a second. Random users below `among`, twelve digits as in `userName`. */
async function writeAtFullSpeed(redis: Redis, writes: number, among: number): Promise<number> {
  const command = ['HSET', `${KEY.before}__rand_int__${KEY.after}`, 'backend', 'store1']
  const args = ['-p', String(redis.port), '-n', String(writes), '-r', String(among), '-P', '32', '-c', '4', '--csv']
  const { stdout } = await run('redis-benchmark', [...args, ...command])
  const perSecond = Number(stdout.trimEnd().split('\n').at(-1)?.split(',')[1]?.replaceAll('"', ''))
  if (!(perSecond > 0)) throw new Error(`redis-benchmark said ${stdout}`)
  return perSecond
}

/** What tracking by prefix costs Redis for each write, by how many instances it has to tell. */
export async function measureTracking(scene: Scene, routes: number): Promise<Scale.TrackingRow[]> {
  const { redis, pid } = await startFullRedis(scene, routes)
  const writes = Math.min(200_000, routes)
  await writeAtFullSpeed(redis, writes, routes)
  const rows: Scale.TrackingRow[] = []
  for (const instances of [0, 1, 4, 16, 64]) {
    const trackers = await openTrackers(redis.port, instances, KEY.before)
    const before = readCpu([pid])
    await writeAtFullSpeed(redis, writes, routes)
    const redisCpuUsPerWrite = (cpuBetween(before, readCpu([pid])).ms * 1000) / writes
    const bytes = await trackers.close()
    rows.push({ instances, redisCpuUsPerWrite, bytesPerChange: instances === 0 ? 0 : bytes / instances / writes })
  }
  return rows
}

const LOGIN_SECONDS = 15
const FEW_USERS = 1000
/** The keys of the users that the bench's load generator logs in as. */
const LOAD_KEYS = 'mailmux:user:user%d@example.test'

/** Whole logins through a whole mailmux, by a client of its own; the routes of few users, and of one after the other. */
export async function measureLogins(scene: Scene, routes: number): Promise<Scale.LoginRow[]> {
  const { redis } = await startFullRedis(scene, routes, { keyFormat: LOAD_KEYS })
  const sink = await startChild<never, { imap: number; pop3: number }>(scene, 'sink.ts')
  const { caFile } = await makeAuthority(scene.directory)
  const whole = await startWhole(scene, { redis, storePort: sink.ready.imap })
  const logIn = async (title: string, users: number): Promise<Scale.LoginRow> => {
    const load = await startChild<Order, LoadAnswer>(scene, 'load.ts', [caFile, String(users)])
    const entry = { port: whole.clear, protocol: 'imap', tls: false } as const
    const order = { do: 'run', ...entry, operation: 'login', connections: 16, resume: false } as const
    await load.ask({ ...order, seconds: 3 }) // both sides warm up
    const before = await readLookups(whole.admin)
    const cpu = readCpu([whole.pid])
    const { figures } = await load.ask({ ...order, seconds: LOGIN_SECONDS })
    if (figures === undefined) throw new Error('no figures')
    const spent = cpuBetween(cpu, readCpu([whole.pid]))
    const after = await readLookups(whole.admin)
    await load.stop()
    return {
      title,
      perSecond: figures.operations / figures.seconds,
      cpuUs: (spent.ms * 1000) / figures.operations,
      p50Us: figures.p50Us,
      p99Us: figures.p99Us,
      lookupP50Ms: quantile(before, after, 0.5),
      lookupP99Ms: quantile(before, after, 0.99),
      bySource: countBySource(before, after),
    }
  }
  return [
    await logIn('warm: the same 1,000 users again and again', FEW_USERS),
    await logIn('cold: each user for the first time', routes),
  ]
}

type Series = ReadonlyMap<string, number>

/** The series of mailmux's metrics that tell of lookups. */
async function readLookups(admin: number): Promise<Series> {
  const text = await (await fetch(`http://127.0.0.1:${admin}/metrics`)).text()
  const lines = [...text.matchAll(/^(mailmux_route_lookup\S+) (\S+)$/gm)]
  return new Map(lines.map(([, series = '', value]) => [series, Number(value)]))
}

/** The upper bound, in ms, of the bucket that the quantile lies in. */
function quantile(before: Series, after: Series, share: number): number {
  const buckets = [...after].flatMap(([series, value]) => {
    const bound = /^mailmux_route_lookup_duration_seconds_bucket\{le="(.+)"\}$/.exec(series)?.[1]
    return bound === undefined
      ? []
      : [{ bound: bound === '+Inf' ? Infinity : Number(bound), count: value - (before.get(series) ?? 0) }]
  })
  const total = Math.max(...buckets.map(({ count }) => count))
  return (buckets.find(({ count }) => count >= share * total)?.bound ?? Infinity) * 1000
}

function countBySource(before: Series, after: Series): Record<string, number> {
  const counts = [...after].flatMap(([series, value]): [string, number][] => {
    const source = /^mailmux_route_lookups_total\{source="(.+)"\}$/.exec(series)?.[1]
    const count = value - (before.get(series) ?? 0)
    return source === undefined || count === 0 ? [] : [[source, count]]
  })
  return Object.fromEntries(counts)
}

/** Sessions open when memory is read: the difference is what a further one costs. */
const FEWER = 1000
const MORE = 3000

/** What a session and a login over TLS cost, as the bench measures them. */
export async function measureCosts(scene: Scene): Promise<Scale.CostFigures> {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('bench')
  const sink = await startChild<never, { imap: number; pop3: number }>(scene, 'sink.ts')
  const findings: Findings = { handshakes: {}, notes: [], failures: [] }
  const { cells, idleCells } = await runRounds(
    {
      ...{ name: 'sink', title: 'the sink', peers: [mailmuxRedis] },
      workloads: workloads.filter(({ name }) => name === 'login-tls'),
      idleWorkloads: idleWorkloads.filter(({ name }) => name === 'idle-tls'),
      idleCounts: [FEWER, MORE],
      ...{ warmUpSeconds: 15, rounds: 5, mostRounds: 5, seconds: 2 },
    },
    { scene, backend: sink.ready, certificate, nodeOptions: [] },
    () => startChild<Order, LoadAnswer>(scene, 'load.ts', [authority.caFile, String(FEW_USERS)]),
    findings,
    () => undefined,
  )
  if (findings.failures.length > 0) throw new Error(findings.failures.join('\n'))
  const [fresh, fewer, more] = idleCells[0]?.readings ?? []
  const cpuUsPerTlsLogin = median(cells.map((cell) => cell.cpuUsPerOperation).filter((us) => us !== undefined))
  if (!fresh || !fewer || !more || cpuUsPerTlsLogin === undefined) throw new Error('no figures')
  return { cpuUsPerTlsLogin, kiBPerTlsSession: (more.kiB - fewer.kiB) / (MORE - FEWER), freshKiB: fresh.kiB }
}
