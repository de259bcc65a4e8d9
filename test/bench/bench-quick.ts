/**
 * `make bench-quick`: mailmux beside nginx's mail proxy in front of the same sink, in about a minute of measuring.
 * Prints tables and writes bench-results/quick.json; fails only when something failed to run. README.md says how the figures mislead.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeAuthority } from '../support/certificates.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { startChild } from './child.ts'
import type { LoadAnswer, Order } from './load-orders.ts'
import type { Peer } from './peers/peer.ts'
import { peers as allPeers } from './peers/peers.ts'
import { describeMachine, type Report } from './report.ts'
import { type Plan, runRounds } from './rounds.ts'
import { renderReport } from './tables.ts'
import { idleWorkloads as allIdleWorkloads, workloads as allWorkloads } from './workloads.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
const RESULTS = join(CHECKOUT, 'bench-results')
const PAGE = join(CHECKOUT, 'docs/performance.md')

const HELP = `node test/bench/bench-quick.ts [options]
  --peers A,B        of ${listNames(allPeers)}; the ratios are to the first (default nginx,mailmux)
  --workloads A,B    of ${listNames([...allWorkloads, ...allIdleWorkloads])} (default all)
  --rounds N         default 3
  --seconds N        of each workload in each round (default 0.8)
  --node-options S   for mailmux's node, as in --node-options=--cpu-prof
  --page             also puts the tables into docs/performance.md
`

type Named = { name: string }

function listNames(named: Named[]): string {
  return named.map(({ name }) => name).join(', ')
}

/** The names in a list separated by commas. Throws at one that there is not. */
function readNames(list: string, known: Named[]): string[] {
  const wanted = list.split(',')
  const unknown = wanted.find((name) => !known.some((one) => one.name === name))
  if (unknown !== undefined) throw new Error(`there is no ${unknown}; there are ${listNames(known)}`)
  return wanted
}

/** Throws unless it is a number above zero. */
function readNumber(text: string): number {
  const number = Number(text)
  if (!(number > 0)) throw new Error(`${text} is not a number above zero`)
  return number
}

/** Installs the packages that are missing, without letting them start services. Throws when it cannot, having said what to install. */
function installPackages(peers: Peer[]): void {
  const packages = peers.flatMap((peer) => peer.packages)
  const stderr = 2 // stdout is for the tables
  execFileSync(join(CHECKOUT, 'test/support/packages.sh'), packages, { stdio: ['ignore', stderr, stderr] })
}

async function measure(scene: Scene, plan: Plan, nodeOptions: string[]): Promise<Report> {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('bench')
  const sink = await startChild<never, { port: number }>(scene, 'sink.ts')
  const around = { scene, sinkPort: sink.ready.port, certificate, nodeOptions }
  const startLoad = () => startChild<Order, LoadAnswer>(scene, 'load.ts', [authority.caFile])

  const versions: [string, string][] = []
  for (const peer of plan.peers) versions.push([peer.name, await peer.version()])
  const machine = describeMachine()
  const startedAt = new Date()
  const results = await runRounds(plan, around, startLoad)
  return {
    startedAt: startedAt.toISOString(),
    measuredSeconds: (Date.now() - startedAt.getTime()) / 1000,
    machine,
    versions: Object.fromEntries(versions),
    ...results,
  }
}

/** Replaces what stands between the two marks of docs/performance.md. */
async function fillPage(tables: string): Promise<void> {
  const page = await readFile(PAGE, 'utf8')
  const filled = page.replace(/(<!-- bench-quick -->\n)[^]*(<!-- end of bench-quick -->)/, `$1\n${tables}\n$2`)
  await writeFile(PAGE, filled)
}

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      peers: { type: 'string', default: 'nginx,mailmux' },
      workloads: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '0.8' },
      'node-options': { type: 'string', default: '' },
      page: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  const everyWorkload = [...allWorkloads, ...allIdleWorkloads]
  const peers = readNames(options.peers, allPeers)
  const workloads = readNames(options.workloads ?? everyWorkload.map(({ name }) => name).join(','), everyWorkload)
  const plan: Plan = {
    peers: peers.map((name) => allPeers.find((peer) => peer.name === name)!), // the order is the user's: the first is the baseline
    workloads: allWorkloads.filter(({ name }) => workloads.includes(name)),
    idleWorkloads: allIdleWorkloads.filter(({ name }) => workloads.includes(name)),
    rounds: readNumber(options.rounds),
    idleRounds: 1,
    seconds: readNumber(options.seconds),
  }
  installPackages(plan.peers)

  const scene = openScene()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void scene.close().finally(() => process.exit(1)))
  }
  try {
    const report = await measure(scene, plan, options['node-options'].split(' ').filter(Boolean))
    const tables = renderReport(report, allWorkloads, allIdleWorkloads)
    process.stdout.write(tables)
    await mkdir(RESULTS, { recursive: true })
    await writeFile(join(RESULTS, 'quick.json'), `${JSON.stringify(report, undefined, 2)}\n`)
    if (options.page) await fillPage(tables)
    if (report.failures.length > 0) process.exitCode = 1
  } finally {
    await scene.close()
  }
}

try {
  await main()
} catch (error) {
  process.stderr.write(`bench-quick: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
