/**
 * How soon running sessions follow the directory, and what a drain costs: `node test/soak/converge.ts`, for fewer sessions with
 * CONVERGE_SESSIONS. Writes docs/soak/converge.md with a plot.
 *
 * Two instances with two workers each follow one Redis. The back end is a program that accepts each login. First the routes of users with
 * an idle session are changed one by one, and the time until the BYE is measured. Then the back end of 10,000 sessions is drained in 60 s.
 */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { countPossibleSessions, raiseFileLimit } from '../bench/file-limit.ts'
import { alignTable } from '../bench/render.ts'
import { makeAuthority } from '../support/certificates.ts'
import { until, within } from '../support/deadline.ts'
import { startFaultyBackend } from '../support/faulty-backend.ts'
import { startMailmux, type Mailmux } from '../support/mailmux.ts'
import { drawPlot } from '../support/plot.ts'
import { startRedis, type Redis } from '../support/redis.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { directoryConnected } from '../support/site.ts'
import { describeHere } from './here.ts'

const FOLDER = join(import.meta.dirname, '../../docs/soak')
/** As many as the limit of open files is enough for: this process has two sockets for each session. */
const SESSIONS = Math.min(Number(process.env.CONVERGE_SESSIONS ?? 10_000), countPossibleSessions(raiseFileLimit()))
const ROUTE_CHANGES = 300
const DRAIN_SECONDS = 60
/** Logins at a time, so that the opening of the sessions does not last long and no queue is full. */
const AT_ONCE = 50
const DEADLINE_MS = 120_000

/** `told`: the moment of the BYE, of the monotonic clock */
type Session = { socket: Socket; told: Promise<number> }

async function logIn(port: number, user: string): Promise<Session> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1').setNoDelay()
  socket.on('error', () => undefined)
  const accepted = Promise.withResolvers<undefined>()
  const told = Promise.withResolvers<number>()
  let text = ''
  socket.on('data', (chunk: string) => {
    text = (text + chunk).slice(-500)
    if (text.includes('\r\na OK')) accepted.resolve(undefined)
    if (text.includes('\r\n* BYE') || chunk.startsWith('* BYE')) told.resolve(performance.now())
  })
  socket.write(`a LOGIN ${user} secret\r\n`)
  await within(DEADLINE_MS, accepted.promise, () => `no login of ${user}: ${text}`)
  return { socket, told: told.promise }
}

async function logInAll(
  ports: readonly number[],
  count: number,
  nameOf: (index: number) => string,
): Promise<Session[]> {
  const sessions: Session[] = []
  let next = 0
  const opener = async (): Promise<void> => {
    while (next < count) {
      const index = next++
      sessions[index] = await logIn(ports[index % ports.length] ?? 0, nameOf(index))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, opener))
  return sessions
}

const quantile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? NaN

/** The time from the reply of Redis to HSET to the BYE, one user after another. */
async function measureFollowing(redis: Redis, ports: readonly number[]): Promise<number[]> {
  const nameOf = (index: number): string => `moved${index}@example.test`
  for (let index = 0; index < ROUTE_CHANGES; index++)
    await redis.command('HSET', `mailmux:user:${nameOf(index)}`, 'backend', 'store1')
  const sessions = await logInAll(ports, ROUTE_CHANGES, nameOf)
  const times: number[] = []
  for (const [index, session] of sessions.entries()) {
    const startedMs = performance.now()
    await redis.command('HSET', `mailmux:user:${nameOf(index)}`, 'backend', 'store2')
    times.push((await within(DEADLINE_MS, session.told, () => 'no BYE')) - startedMs)
    session.socket.destroy()
  }
  return times
}

/** The worst p99 of any worker since the last call, in milliseconds. */
async function lag(instances: readonly Mailmux[]): Promise<number> {
  const lags = await Promise.all(instances.map((one) => one.metric('nodejs_eventloop_lag_p99_seconds')))
  return Math.max(...lags.map((seconds) => (seconds ?? 0) * 1000))
}

type DrainFigures = { perSecond: number[]; lags: number[]; lagBefore: number; seconds: number }

async function measureDrain(redis: Redis, instances: readonly Mailmux[]): Promise<DrainFigures> {
  const sessions = await logInAll(
    instances.map(({ ports }) => ports.imapClear),
    SESSIONS,
    (index) => `drained${index}@example.test`,
  )
  await lag(instances)
  await new Promise((resolve) => setTimeout(resolve, 5000))
  const lagBefore = await lag(instances)
  const startedMs = performance.now()
  const perSecond: number[] = []
  let left = sessions.length
  for (const { told, socket } of sessions)
    void told.then((atMs) => {
      const second = Math.floor((atMs - startedMs) / 1000)
      perSecond[second] = (perSecond[second] ?? 0) + 1
      left--
      socket.destroy()
    })
  await redis.command('HSET', 'mailmux:backend:store1', 'state', 'drain', 'over', `${DRAIN_SECONDS}s`)
  const lags: number[] = []
  while (left > 0 && performance.now() - startedMs < DEADLINE_MS) {
    await new Promise((resolve) => setTimeout(resolve, 5000))
    lags.push(await lag(instances))
  }
  assert.equal(left, 0, `${left} sessions are left`)
  return {
    perSecond: Array.from({ length: perSecond.length }, (_, second) => perSecond[second] ?? 0),
    lags,
    lagBefore,
    seconds: (performance.now() - startedMs) / 1000,
  }
}

function render(times: readonly number[], drain: DrainFigures): string {
  const ms = (value: number): string => value.toFixed(1)
  const table = alignTable([
    ['measure', 'value', 'target'],
    [`from HSET to the BYE of an idle session, ${times.length} users, p50`, `${ms(quantile(times, 0.5))} ms`, ''],
    ['the same, p99', `${ms(quantile(times, 0.99))} ms`, '500 ms'],
    [`drain of ${SESSIONS} sessions: last BYE after`, `${drain.perSecond.length} s`, `${DRAIN_SECONDS} s`],
    ['most sessions that ended in one second', String(Math.max(...drain.perSecond)), ''],
    ['event loop delay, p99 of the worst worker in 5 s, before', `${ms(drain.lagBefore)} ms`, ''],
    ['the same during the drain, the worst 5 s', `${ms(Math.max(...drain.lags))} ms`, '20 ms'],
  ])
  return `# How soon sessions follow the directory

Two instances with two workers each, one Redis, and a program that accepts each login as both back ends. Written by \`node test/soak/converge.ts\`.

${new Date().toISOString()}, ${describeHere()}.

${table.join('\n')}

![Sessions that ended in each second of the drain](converge.svg)
`
}

async function run(scene: Scene): Promise<void> {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('mailmux')
  const backend = await startFaultyBackend(scene, 'imap', { fault: 'none' })
  const redis = await startRedis(scene)
  const entry = { host: '127.0.0.1', imap: backend.port, tls: 'none', limits: { logins: 1000 } }
  const instances: Mailmux[] = []
  for (let index = 0; index < 2; index++)
    instances.push(
      await startMailmux(scene, {
        certificate,
        backends: { store1: entry, store2: entry },
        domains: { 'example.test': 'store1' },
        directory: { redis: { url: redis.url } },
        settings: { workers: 2 },
      }),
    )
  for (const one of instances) await directoryConnected(one)
  const ports = instances.map((one) => one.ports.imapClear)
  const times = await measureFollowing(redis, ports)
  await until(
    DEADLINE_MS,
    async () => (await instances[0]?.metric('mailmux_connections')) === 0 || undefined,
    () => 'the first sessions do not end',
  )
  const drain = await measureDrain(redis, instances)
  await mkdir(FOLDER, { recursive: true })
  const text = render(times, drain)
  await writeFile(join(FOLDER, 'converge.md'), text)
  const points = drain.perSecond.map((count, second) => [second + 0.5, count] as const)
  const plot = drawPlot({
    title: `A drain of ${SESSIONS} sessions in ${DRAIN_SECONDS} s`,
    x: 'seconds since HSET',
    y: 'sessions that ended in this second',
    lines: [{ name: 'two instances, two workers each', points }],
  })
  await writeFile(join(FOLDER, 'converge.svg'), plot)
  process.stdout.write(text)
}

const scene = openScene()
try {
  await run(scene)
} finally {
  await scene.close()
}
