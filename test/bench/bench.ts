/**
 * `make bench` and, with `--quick`, `make bench-quick`: mailmux beside the proxies that people use instead, all in front of the same
 * back end. Prints tables and verdicts, writes JSON and a chart; fails when something failed to run or, without `--quick`, when
 * a target is missed. README.md says how the figures mislead.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeAuthority } from '../support/certificates.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { type BackendKind, backendKinds } from './backends.ts'
import { drawChart } from './chart.ts'
import { startChild } from './child.ts'
import { countPossibleSessions, raiseFileLimit } from './file-limit.ts'
import type { LoadAnswer, Order } from './load-orders.ts'
import type { Peer } from './peers/peer.ts'
import { peers as allPeers } from './peers/peers.ts'
import { describeMachine, type Report } from './report.ts'
import { type Findings, type Plan, runRounds } from './rounds.ts'
import { peersOf, type Summary, summarize } from './summary.ts'
import { renderReport } from './tables.ts'
import { judgeTargets, type Verdict } from './targets.ts'
import { idleWorkloads as allIdleWorkloads, workloads as allWorkloads } from './workloads.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
const RESULTS = join(CHECKOUT, 'bench-results')
const DOCS = join(CHECKOUT, 'docs')

/** What a run does where no option says otherwise. */
type Preset = {
  name: string
  peers: string
  workloads: string
  backends: string
  rounds: string
  seconds: string
  sessions: string
  /** whether a target that is missed fails the run */
  isJudged: boolean
}

const FULL: Preset = {
  name: 'bench',
  // a route for each user in the file costs what one for the domain does: --peers mailmux,mailmux-static shows it
  peers: listNames(allPeers.filter(({ name }) => name !== 'mailmux-static')),
  workloads: listNames([...allWorkloads, ...allIdleWorkloads]),
  backends: listNames(backendKinds),
  rounds: '5',
  seconds: '1',
  sessions: '3000,10000',
  isJudged: true,
}

const QUICK: Preset = {
  name: 'quick',
  peers: 'nginx,mailmux',
  workloads: 'login,login-tls,noop,noop-tls,fetch,fetch-tls,idle,idle-tls',
  backends: 'sink',
  rounds: '3',
  seconds: '0.8',
  sessions: '1000,2000',
  isJudged: false,
}

const HELP = `node test/bench/bench.ts [options]
  --quick            a minute: ${QUICK.peers}; ${QUICK.workloads}; no target fails it
  --peers A,B        of ${listNames(allPeers)}; the ratios are to the first
  --workloads A,B    of ${FULL.workloads}
  --backends A,B     of ${FULL.backends}
  --rounds N         ${FULL.rounds}, quick ${QUICK.rounds}
  --seconds N        of each workload in each round: ${FULL.seconds}, quick ${QUICK.seconds}
  --sessions N,M     open when memory is read: ${FULL.sessions}, quick ${QUICK.sessions}
  --node-options S   for mailmux's node, as in --node-options=--cpu-prof
  --page             also puts tables and chart into docs/performance.md
`

type Named = { name: string }

function listNames(named: Named[]): string {
  return named.map(({ name }) => name).join(',')
}

/** Those that are named in a list separated by commas, in the order of the list. Throws at a name that there is not. */
function choose<T extends Named>(list: string, known: T[]): T[] {
  return list.split(',').map((name) => {
    const found = known.find((one) => one.name === name)
    if (found === undefined) throw new Error(`there is no ${name}; there are ${listNames(known)}`)
    return found
  })
}

/** Throws unless it is a number above zero. */
function readNumber(text: string): number {
  const number = Number(text)
  if (!(number > 0)) throw new Error(`${text} is not a number above zero`)
  return number
}

/** Installs the packages that are missing, without letting them start services. Throws when it cannot, having said what to install. */
function installPackages(packages: string[]): void {
  const stderr = 2 // stdout is for the tables
  execFileSync(join(CHECKOUT, 'test/support/packages.sh'), packages, { stdio: ['ignore', stderr, stderr] })
}

type Options = {
  preset: Preset
  backends: BackendKind[]
  plan: Omit<Plan, 'name' | 'title'>
  nodeOptions: string[]
  wantsPage: boolean
}

/** Undefined when help was all that was asked for. */
function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      peers: { type: 'string' },
      workloads: { type: 'string' },
      backends: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      sessions: { type: 'string' },
      'node-options': { type: 'string', default: '' },
      page: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const preset = values.quick ? QUICK : FULL
  const workloads = choose<Named>(values.workloads ?? preset.workloads, [...allWorkloads, ...allIdleWorkloads])
  return {
    preset,
    backends: choose(values.backends ?? preset.backends, backendKinds),
    plan: {
      peers: choose(values.peers ?? preset.peers, allPeers),
      workloads: allWorkloads.filter((workload) => workloads.includes(workload)),
      idleWorkloads: allIdleWorkloads.filter((workload) => workloads.includes(workload)),
      idleCounts: (values.sessions ?? preset.sessions).split(',').map(readNumber),
      rounds: readNumber(values.rounds ?? preset.rounds),
      seconds: readNumber(values.seconds ?? preset.seconds),
    },
    nodeOptions: values['node-options'].split(' ').filter(Boolean),
    wantsPage: values.page,
  }
}

/** As many sessions as the limit of open files allows, in place of counts that it does not. */
function limitCounts(counts: number[], fileLimit: number, notes: string[]): number[] {
  const most = countPossibleSessions(fileLimit)
  if (counts.some((count) => count > most)) {
    notes.push(
      `The limit of ${fileLimit} open files a process leaves room for ${most} sessions, not ${Math.max(...counts)}`,
    )
  }
  return [...new Set(counts.map((count) => Math.min(count, most)))].toSorted((a, b) => a - b)
}

async function readVersions(peers: Peer[]): Promise<Record<string, string>> {
  const versions: Record<string, string> = {}
  for (const peer of peers) versions[peer.name] = await peer.version().catch(() => 'version unknown')
  return versions
}

async function measure(scene: Scene, { backends, plan, nodeOptions }: Options): Promise<Report> {
  const fileLimit = raiseFileLimit()
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('bench')
  const findings: Findings = { handshakes: {}, notes: [], failures: [] }
  const idleCounts = limitCounts(plan.idleCounts, fileLimit, findings.notes)
  const versions = await readVersions(plan.peers)
  const machine = describeMachine(fileLimit)
  const startedAt = new Date()
  const tell = (progress: string): void => {
    const minutes = ((Date.now() - startedAt.getTime()) / 60_000).toFixed(1)
    process.stderr.write(`${minutes} min  ${progress}\n`)
  }

  const sections = []
  for (const kind of backends) {
    const { ports, users } = await kind.start(scene)
    const around = { scene, backend: ports, certificate, nodeOptions }
    const startLoad = () => startChild<Order, LoadAnswer>(scene, 'load.ts', [authority.caFile, String(users)])
    const here: Plan = {
      ...{ ...plan, name: kind.name, title: kind.title, idleCounts },
      workloads: plan.workloads.filter(({ name }) => kind.workloads.includes(name)),
      idleWorkloads: plan.idleWorkloads.filter(({ name }) => kind.workloads.includes(name)),
    }
    sections.push(await runRounds(here, around, startLoad, findings, tell))
  }
  return {
    startedAt: startedAt.toISOString(),
    measuredSeconds: (Date.now() - startedAt.getTime()) / 1000,
    machine,
    versions,
    remarks: Object.fromEntries(plan.peers.map(({ name, remark }) => [name, remark])),
    ...findings,
    sections,
  }
}

/** Replaces what stands between the two marks of docs/performance.md, and the chart beside it. */
async function fillPage(tables: string, chart: string): Promise<void> {
  const page = join(DOCS, 'performance.md')
  const image = '![What each proxy costs, as a multiple of nginx](performance.svg)'
  const filled = (await readFile(page, 'utf8')).replace(
    /(<!-- bench -->\n)[^]*(<!-- end of bench -->)/,
    (_, start: string, end: string) => `${start}\n${image}\n\n${tables}\n${end}`,
  )
  await writeFile(page, filled)
  await writeFile(join(DOCS, 'performance.svg'), chart)
}

/** Of the rows of memory, the one that has the fewest sessions stands for its workload. */
function chooseRowsToDraw({ cpu, memory }: Summary) {
  const seen = new Set<string>()
  const first = memory.filter(({ name }) => {
    const workload = name.split('@')[0]!
    return !seen.has(workload) && seen.add(workload)
  })
  return [...cpu, ...first]
}

function draw(report: Report, summary: Summary): string {
  const rows = chooseRowsToDraw(summary)
  const [baseline = '', ...others] = peersOf(rows)
  const { machine, startedAt } = report
  const heading = `CPU time an operation, and memory an idle session (${startedAt.slice(0, 10)}, ${machine.cpu})`
  return drawChart(heading, rows, baseline, others)
}

async function main(): Promise<void> {
  const options = readOptions()
  if (options === undefined) {
    process.stdout.write(HELP)
    return
  }
  const { preset, plan, backends, wantsPage } = options
  installPackages([...plan.peers, ...backends].flatMap(({ packages }) => packages))

  const scene = openScene()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void scene.close().finally(() => process.exit(1)))
  }
  try {
    const report = await measure(scene, options)
    const summaries = report.sections.map((section) => summarize(section, allWorkloads, allIdleWorkloads))
    const [first] = summaries
    const verdicts: Verdict[] =
      first === undefined
        ? []
        : judgeTargets(
            first,
            plan.peers.map(({ name }) => name),
          )
    const tables = renderReport(report, summaries, verdicts)
    process.stdout.write(tables)
    await mkdir(RESULTS, { recursive: true })
    await writeFile(join(RESULTS, `${preset.name}.json`), `${JSON.stringify({ ...report, verdicts }, undefined, 2)}\n`)
    const chart = first === undefined ? '' : draw(report, first)
    await writeFile(join(RESULTS, `${preset.name}.svg`), chart)
    if (wantsPage) await fillPage(tables, chart)
    const missesTarget = preset.isJudged && verdicts.some(({ isMet }) => !isMet)
    if (report.failures.length > 0 || missesTarget) process.exitCode = 1
  } finally {
    await scene.close()
  }
}

try {
  await main()
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
