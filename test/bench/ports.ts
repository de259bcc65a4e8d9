/**
 * The ways to share a port between workers, side by side: what a connection costs, how evenly the workers get them, and what is lost
 * when one of them, or all, are killed under load. `docs/workers.md` has the table. `node test/bench/ports.ts [rounds]`
 */
import { freePort } from '../support/ports.ts'
import { openScene } from '../support/scene.ts'
import { type Child, startChild } from './child.ts'
import type { PortsOrder, PortsTold } from './ports-client.ts'
import { type PortsReady, type Way, WAYS } from './ports-server.ts'
import { cpuBetween, readCpu } from './process-usage.ts'

const WORKERS = 2
const LOAD_MS = 2000
const AT_ONCE = 32
const SLOWLY = 200

const NAMES: Record<Way, string> = {
  'one-process': 'one process',
  shared: "the primary's socket, accepted from by all",
  slots: "a socket of the primary's for each worker (`SO_REUSEPORT`)",
  'reuse-port': 'a socket of each worker (`SO_REUSEPORT`)',
  cluster: '`node:cluster`, round robin',
}

type Server = Child<object, PortsReady>
type Client = Child<PortsOrder, PortsTold>

/** What one round found of one way; the last four only where there is something to share. */
type Found = { perSecond: number; usEach: number; load?: PortsTold; slow?: PortsTold; one?: PortsTold; all?: PortsTold }

/** Kills so many workers under load. */
async function kill(server: Server, client: Client, port: number, howMany: number): Promise<PortsTold> {
  const told = client.ask({ kind: 'load', port, ms: LOAD_MS, atOnce: AT_ONCE })
  await new Promise((resolve) => setTimeout(resolve, LOAD_MS / 3))
  const { pids } = await server.ask({})
  for (const pid of pids.slice(0, howMany)) process.kill(pid, 'SIGKILL')
  return told
}

async function measure(way: Way): Promise<Found> {
  const scene = openScene()
  try {
    const args = ['primary', way, String(await freePort()), String(WORKERS)]
    const server = await startChild<object, PortsReady>(scene, 'ports-server.ts', args)
    const client: Client = await startChild<PortsOrder, PortsTold>(scene, 'ports-client.ts')
    const { port } = server.ready
    await client.ask({ kind: 'load', port, ms: LOAD_MS / 2, atOnce: AT_ONCE })
    const before = readCpu([server.pid])
    const load = await client.ask({ kind: 'load', port, ms: LOAD_MS, atOnce: AT_ONCE })
    const { ms } = cpuBetween(before, readCpu([server.pid]))
    const count = Object.values(load.endings).reduce((a, b) => a + b, 0)
    const cost = { perSecond: (1000 * count) / LOAD_MS, usEach: (1000 * ms) / count }
    if (way === 'one-process') return cost
    const slow = await client.ask({ kind: 'slow', port, count: SLOWLY, everyMs: 10 })
    const one = await kill(server, client, port, 1)
    return { ...cost, load, slow, one, all: await kill(server, client, port, WORKERS) }
  } finally {
    await scene.close()
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}

function add(all: readonly (PortsTold | undefined)[]): PortsTold | undefined {
  const sum: PortsTold = { endings: {}, longestMs: 0 }
  for (const told of all) {
    if (!told) return undefined
    for (const [how, count] of Object.entries(told.endings)) sum.endings[how] = (sum.endings[how] ?? 0) + count
    sum.longestMs = Math.max(sum.longestMs, told.longestMs)
  }
  return sum
}

function shares(told: PortsTold | undefined): string {
  if (!told) return ''
  const counts = Array.from({ length: WORKERS }, (_, slot) => told.endings[`greeted ${slot}`] ?? 0)
  const sum = counts.reduce((a, b) => a + b, 0)
  return counts.map((count) => Math.round((100 * count) / sum)).join(' : ')
}

function losses(told: PortsTold | undefined): string {
  if (!told) return ''
  const lost = ['refused', 'reset', 'closed', 'silent'].flatMap((how) => {
    const count = told.endings[how] ?? 0
    return count === 0 ? [] : [`${count} ${how}`]
  })
  return `${lost.join(', ') || 'none'}; longest wait ${Math.round(told.longestMs)} ms`
}

const rounds = Number(process.argv[2] ?? 3)
const found = new Map<Way, Found[]>(WAYS.map((way) => [way, []]))
for (let round = 0; round < rounds; round++) for (const way of WAYS) found.get(way)?.push(await measure(way))

const print = (cells: string[]): boolean => process.stdout.write(`| ${cells.join(' | ')} |\n`)
const columns = ['way', 'connections a second', 'CPU a connection', 'shares under load', 'shares one by one']
print([...columns, 'lost with one worker', 'lost with both'])
print(Array.from({ length: columns.length + 2 }, () => '---'))
for (const [way, each] of found) {
  print([
    NAMES[way],
    Math.round(median(each.map(({ perSecond }) => perSecond))).toLocaleString('en-US'),
    `${Math.round(median(each.map(({ usEach }) => usEach)))} µs`,
    shares(add(each.map(({ load }) => load))),
    shares(add(each.map(({ slow }) => slow))),
    losses(add(each.map(({ one }) => one))),
    losses(add(each.map(({ all }) => all))),
  ])
}
