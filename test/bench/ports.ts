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
const LOAD_MS = 3000
const AT_ONCE = 32
const SLOWLY = 200

const NAMES: Record<Way, string> = {
  'one-process': 'one process',
  shared: "the primary's socket, accepted from by all",
  slots: "a socket of the primary's for each worker (SO_REUSEPORT)",
  'reuse-port': 'a socket of each worker (SO_REUSEPORT)',
  cluster: 'node:cluster, round robin',
}

type Server = Child<object, PortsReady>
type Client = Child<PortsOrder, PortsTold>
type Row = Record<string, string>

function shares({ endings }: PortsTold): string {
  const counts = Array.from({ length: WORKERS }, (_, slot) => endings[`greeted ${slot}`] ?? 0)
  const sum = counts.reduce((a, b) => a + b, 0)
  return counts.map((count) => Math.round((100 * count) / sum)).join(' : ')
}

function losses({ endings, longestMs }: PortsTold): string {
  const lost = ['refused', 'reset', 'closed', 'silent'].flatMap((how) => {
    const count = endings[how] ?? 0
    return count === 0 ? [] : [`${count} ${how}`]
  })
  return `${lost.join(', ') || 'none'}; longest wait ${Math.round(longestMs)} ms`
}

async function kill(server: Server, client: Client, port: number, howMany: number): Promise<PortsTold> {
  const told = client.ask({ kind: 'load', port, ms: LOAD_MS, atOnce: AT_ONCE })
  await new Promise((resolve) => setTimeout(resolve, LOAD_MS / 3))
  const { pids } = await server.ask({})
  for (const pid of pids.slice(0, howMany)) process.kill(pid, 'SIGKILL')
  return told
}

async function measure(way: Way): Promise<Row> {
  const scene = openScene()
  try {
    const server = await startChild<object, PortsReady>(scene, 'ports-server.ts', [
      'primary',
      way,
      String(await freePort()),
      String(WORKERS),
    ])
    const client: Client = await startChild<PortsOrder, PortsTold>(scene, 'ports-client.ts')
    const { port } = server.ready
    await client.ask({ kind: 'load', port, ms: 1000, atOnce: AT_ONCE })
    const before = readCpu([server.pid])
    const loaded = await client.ask({ kind: 'load', port, ms: LOAD_MS, atOnce: AT_ONCE })
    const { ms } = cpuBetween(before, readCpu([server.pid]))
    const count = Object.values(loaded.endings).reduce((a, b) => a + b, 0)
    const row: Row = {
      way: NAMES[way],
      'connections a second': Math.round((1000 * count) / LOAD_MS).toLocaleString('en-US'),
      'CPU a connection': `${Math.round((1000 * ms) / count)} µs`,
    }
    if (way === 'one-process') return row
    const slow = await client.ask({ kind: 'slow', port, count: SLOWLY, everyMs: 10 })
    return {
      ...row,
      'shares under load': shares(loaded),
      'shares one by one': shares(slow),
      'lost with one worker': losses(await kill(server, client, port, 1)),
      'lost with both': losses(await kill(server, client, port, WORKERS)),
    }
  } finally {
    await scene.close()
  }
}

const rows: Row[] = []
for (const way of WAYS) rows.push(await measure(way))
const columns = Object.keys(rows.at(-1) ?? {})
const print = (cells: string[]): boolean => process.stdout.write(`| ${cells.join(' | ')} |\n`)
print(columns)
print(columns.map(() => '---'))
for (const row of rows) print(columns.map((column) => row[column] ?? ''))
