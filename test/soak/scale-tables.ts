/** The figures as they stand in docs/scale.md: a table for each part, and the arithmetic that follows from all of them. */
import { alignTable } from '../bench/render.ts'
import { ASSUMED, calculate, showNumber } from './scale-arithmetic.ts'
import type { Measured, MemoryFigures, ScaleFigures } from './scale-figures.ts'

const n = showNumber

const TABLES: { [Part in keyof ScaleFigures]: (figures: ScaleFigures[Part]) => string[][] } = {
  redis: (redis) => [
    ['Redis', 'measured'],
    ['routes', n(redis.routes)],
    ['bytes a route, with a back end alone', n(redis.bytesPerRoute)],
    ['bytes a route, with back end, login and status', n(redis.bytesPerFullRoute)],
    ['resident bytes a route, with a back end alone', n(redis.residentBytesPerRoute)],
    ['resident MiB for all', n((redis.routes * redis.residentBytesPerRoute) / 2 ** 20)],
  ],
  memory: memoryTable,
  memoryOfAll: memoryTable,
  lookups: (rows) => [
    [
      'lookup',
      'a second',
      'p50, µs',
      'p99, µs',
      'slowest, µs',
      'CPU of mailmux, µs',
      'CPU of Redis, µs',
      'answered from',
    ],
    ...rows.map(({ title, figures, redisCpuUs }) => [
      title,
      n(figures.lookups / figures.seconds),
      n(figures.p50Us),
      n(figures.p99Us),
      n(figures.maxUs),
      n((figures.cpuMs * 1000) / figures.lookups),
      n(redisCpuUs),
      listSources(figures.bySource),
    ]),
  ],
  changes: (rows) => [
    [
      'routes changed, a second',
      'CPU of the instance, % of a core',
      'cut off for falling behind',
      'lookups, a second',
      'their p50, µs',
      'their p99, µs',
      'answered from',
    ],
    ...rows.map(({ perSecond, cut, seconds, cpuMs, lookups }) => [
      n(perSecond),
      n(cpuMs / seconds / 10),
      cut ? 'yes' : 'no',
      n(lookups.lookups / seconds),
      n(lookups.p50Us),
      n(lookups.p99Us),
      listSources(lookups.bySource),
    ]),
  ],
  tracking: (rows) => [
    ['instances that are told', ...rows.map(({ instances }) => n(instances))],
    ['CPU of Redis for a write, µs', ...rows.map(({ redisCpuUsPerWrite }) => n(redisCpuUsPerWrite))],
    ['bytes sent to each for a change', ...rows.map(({ bytesPerChange }) => n(bytesPerChange))],
  ],
  logins: (rows) => [
    ['login + logout, clear', ...rows.map(({ title }) => title)],
    ['a second', ...rows.map(({ perSecond }) => n(perSecond))],
    ['CPU of mailmux, µs', ...rows.map(({ cpuUs }) => n(cpuUs))],
    ['p50, µs, as the client sees it', ...rows.map(({ p50Us }) => n(p50Us))],
    ['p99, µs, as the client sees it', ...rows.map(({ p99Us }) => n(p99Us))],
    ['routed within, p50, ms, by mailmux’s metric', ...rows.map(({ lookupP50Ms }) => n(lookupP50Ms))],
    ['routed within, p99, ms, by mailmux’s metric', ...rows.map(({ lookupP99Ms }) => n(lookupP99Ms))],
    ['answered from', ...rows.map(({ bySource }) => listSources(bySource))],
  ],
  costs: (figures) => [
    ['one mailmux', 'measured'],
    ['CPU of a login + logout, TLS full, µs', n(figures.cpuUsPerTlsLogin)],
    ['KiB of a session, TLS', n(figures.kiBPerTlsSession)],
    ['MiB when fresh', n(figures.freshKiB / 1024)],
  ],
}

function memoryTable(figures: MemoryFigures): string[][] {
  return [
    ['mailmux', `cache_size ${figures.cacheSize}`],
    ['users looked up', n(figures.usersSeen)],
    ['MiB when fresh', n(figures.freshKiB / 1024)],
    ['MiB afterwards', n(figures.afterKiB / 1024)],
    ['bytes of heap for a remembered user', n(figures.heapBytesPerUser)],
  ]
}

function listSources(bySource: Readonly<Record<string, number>>): string {
  const total = Object.values(bySource).reduce((sum, count) => sum + count, 0)
  const shares = Object.entries(bySource).toSorted(([, a], [, b]) => b - a)
  return shares.map(([source, count]) => `${source} ${n((count / total) * 100)} %`).join(', ')
}

/** One part's table, and when it was measured; undefined where it was not. */
export function renderPart(part: keyof ScaleFigures, measured: Measured): string | undefined {
  switch (part) {
    case 'redis':
      return render(measured.redis, TABLES.redis)
    case 'memory':
      return render(measured.memory, TABLES.memory)
    case 'memoryOfAll':
      return render(measured.memoryOfAll, TABLES.memoryOfAll)
    case 'lookups':
      return render(measured.lookups, TABLES.lookups)
    case 'changes':
      return render(measured.changes, TABLES.changes)
    case 'tracking':
      return render(measured.tracking, TABLES.tracking)
    case 'logins':
      return render(measured.logins, TABLES.logins)
    case 'costs':
      return render(measured.costs, TABLES.costs)
  }
}

function render<Figures>(
  found: { at: string; machine: string; figures: Figures } | undefined,
  table: (figures: Figures) => string[][],
): string | undefined {
  if (found === undefined) return undefined
  return [...alignTable(table(found.figures)), '', `Measured ${found.at}: ${found.machine}.`].join('\n')
}

/** Undefined until every part was measured. */
export function renderArithmetic(measured: Measured): string | undefined {
  const { redis, memory, memoryOfAll, lookups, changes, tracking, logins, costs } = measured
  if (!redis || !memory || !memoryOfAll || !lookups || !changes || !tracking || !logins || !costs) return undefined
  const figures: ScaleFigures = {
    redis: redis.figures,
    memory: memory.figures,
    memoryOfAll: memoryOfAll.figures,
    lookups: lookups.figures,
    changes: changes.figures,
    tracking: tracking.figures,
    logins: logins.figures,
    costs: costs.figures,
  }
  const lines = calculate(figures, ASSUMED)
  return alignTable([
    ['calculated', 'result', 'unit', 'formula'],
    ...lines.map(({ what, value, unit, formula }) => [what, n(value), unit, formula]),
  ]).join('\n')
}
