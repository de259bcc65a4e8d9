/**
 * Routing as a running mailmux has it, in a child process: its configuration, its router and its directory before a real Redis, and nothing
 * else, so that time, CPU and memory are theirs alone. Carries out one order after the other.
 */
import { createHistogram } from 'node:perf_hooks'
import { setTimeout as pass } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { between, createRandom } from '../support/random.ts'
import { loadConfig } from '../../src/config/load.ts'
import { openCachedDirectory } from '../../src/directory/remembered/cached-directory.ts'
import { createRouter, type Router } from '../../src/routing/router.ts'
import { userName } from './write-routes.ts'
import { named } from '../support/user-name.ts'

export type InstanceOrder =
  | { do: 'open'; configFile: string }
  /** looks up users `first` and on, each once; or with `among` random ones below that */
  | { do: 'lookups'; first: number; count: number; atOnce: number; among?: number }
  /** random known users, one at a time, until this user's route is to this back end */
  | { do: 'lookups-until'; user: number; backend: string; among: number }
  | { do: 'memory' }

export type LookupFigures = {
  lookups: number
  seconds: number
  p50Us: number
  p99Us: number
  maxUs: number
  cpuMs: number
  bySource: Record<string, number>
}

export type InstanceAnswer = { lookups?: LookupFigures; heapBytes?: number }

const open: { router: Router | undefined } = { router: undefined }
const random = createRandom(1)

async function openRouter(configFile: string): Promise<Router> {
  const { settings, problems } = loadConfig(configFile, {})
  if (settings?.directory.kind !== 'redis') throw new Error(problems.map(({ message }) => message).join('\n'))
  const ignore = (): void => undefined
  const log = { debug: ignore, info: ignore, warn: ignore, error: ignore }
  const directory = openCachedDirectory(settings.directory, log, {
    directoryIsUp: ignore,
    directoryHasLostData: ignore,
    directoryAnsweredBadly: ignore,
  })
  await directory.connected
  return createRouter(settings.routing, directory, ignore, { isUp: () => true, loginMs: 0 })
}

/** @param next the next user, or undefined when it is enough */
async function lookUp(router: Router, atOnce: number, next: () => Promise<number | undefined> | number | undefined) {
  const histogram = createHistogram()
  const bySource = new Map<string, number>()
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  const goOn = async (): Promise<void> => {
    for (let user = await next(); user !== undefined; user = await next()) {
      const askedAt = process.hrtime.bigint()
      const route = await router.byUser(named(userName(user)))
      histogram.record(process.hrtime.bigint() - askedAt)
      const source = route.kind === 'unknown' ? 'unknown' : route.source
      bySource.set(source, (bySource.get(source) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, goOn))
  const seconds = (performance.now() - startedAt) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const figures: LookupFigures = {
    lookups: histogram.count,
    seconds,
    p50Us: histogram.percentile(50) / 1000,
    p99Us: histogram.percentile(99) / 1000,
    maxUs: histogram.max / 1000,
    cpuMs: (user + system) / 1000,
    bySource: Object.fromEntries(bySource),
  }
  return figures
}

function lookUpMany(router: Router, { first, count, atOnce, among }: InstanceOrder & { do: 'lookups' }) {
  let done = 0
  return lookUp(router, atOnce, () => {
    if (done >= count) return undefined
    const user = first + done++
    return among === undefined ? user : between(random, 0, among - 1)
  })
}

/** About a thousand a second, as an instance with as many logins does; the awaited route is among them every tenth time. */
function lookUpUntil(router: Router, order: InstanceOrder & { do: 'lookups-until' }) {
  let done = 0
  return lookUp(router, 1, async () => {
    await pass(1)
    if (done++ % 10 > 0) return between(random, 0, order.among - 1)
    const route = await router.byUser(named(userName(order.user)))
    return route.kind === 'backend' && route.backend.name === order.backend ? undefined : order.user
  })
}

/** What is in use after a collection. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}

async function carryOut(order: InstanceOrder): Promise<InstanceAnswer> {
  if (order.do === 'open') {
    open.router = await openRouter(order.configFile)
    return {}
  }
  if (order.do === 'memory') return { heapBytes: heapBytes() }
  if (open.router === undefined) throw new Error('not open')
  return {
    lookups: await (order.do === 'lookups' ? lookUpMany(open.router, order) : lookUpUntil(open.router, order)),
  }
}

process.on('message', (order: InstanceOrder) => {
  carryOut(order).then(
    (answer) => process.send?.({ ok: true, ...answer }),
    (cause: unknown) => process.send?.({ ok: false, error: cause instanceof Error ? cause.message : String(cause) }),
  )
})
process.on('disconnect', () => process.exit(0))
process.send?.({ ok: true })
