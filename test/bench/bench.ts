/**
 * `make bench` and, with `--quick`, `make bench-quick`: mailmux beside the proxies that people use instead, all in front of the same
 * back end. Prints tables and verdicts, writes JSON and a chart; fails when something failed to run or, without `--quick`, when
 * a target is missed. README.md says how the figures mislead.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeAuthority } from '../support/certificates.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { startChild } from './child.ts'
import { countPossibleSessions, limitCounts, raiseFileLimit } from './file-limit.ts'
import type { LoadAnswer, Order } from './load-orders.ts'
import { describeOptions, type Options, readOptions } from './options.ts'
import { renderFeatures } from './features/render.ts'
import { fillPage, fillPart } from './page.ts'
import type { Peer } from './peers/peer.ts'
import { describeMachine, type Report } from './report.ts'
import { type Findings, runRounds } from './rounds.ts'
import { listSettings, type Setting } from './settings.ts'
import { summarize } from './summary.ts'
import { describeRun, drawReport, renderReport } from './render.ts'
import { judgeTargets } from './targets.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
const RESULTS = join(CHECKOUT, 'bench-results')

/** Installs the packages that are missing, without letting them start services. Throws when it cannot, having said what to install. */
function installPackages(packages: string[]): void {
  const stderr = 2 // stdout is for the tables
  execFileSync(join(CHECKOUT, 'test/support/packages.sh'), packages, { stdio: ['ignore', stderr, stderr] })
}

function listPeers({ settings, peers }: Options): Peer[] {
  return [...new Set(settings.flatMap((setting) => setting.peers ?? peers))]
}

async function readVersions(peers: Peer[]): Promise<Record<string, string>> {
  const versions: Record<string, string> = {}
  // one that is not there fails when it is started, with its own words
  for (const peer of peers) versions[peer.name] = await peer.version().catch(() => 'version unknown')
  return versions
}

async function measure(scene: Scene, options: Options, fileLimit: number): Promise<Report> {
  const { settings, peers, rounds, mostRounds, seconds, warmUpSeconds, sessions, nodeOptions } = options
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('bench')
  const findings: Findings = { handshakes: {}, notes: [], failures: [] }
  const everyPeer = listPeers(options)
  const possible = countPossibleSessions(fileLimit)
  if (settings.some(({ idleWorkloads }) => idleWorkloads.length > 0) && sessions.some((count) => count > possible)) {
    findings.notes.push(
      `${fileLimit} open files a process are room for ${possible} sessions, not ${Math.max(...sessions)}`,
    )
  }
  const versions = await readVersions(everyPeer)
  const machine = describeMachine(fileLimit)
  const startedAt = new Date()
  const tell = (progress: string): void => {
    const minutes = ((Date.now() - startedAt.getTime()) / 60_000).toFixed(1)
    process.stderr.write(`${minutes} min  ${progress}\n`)
  }
  const runSetting = async (setting: Setting) => {
    const { ports, users } = await setting.start(scene)
    const around = { scene, backend: ports, certificate, nodeOptions }
    const startLoad = () => startChild<Order, LoadAnswer>(scene, 'load.ts', [authority.caFile, String(users)])
    const idleCounts = limitCounts(sessions, possible)
    const plan = { warmUpSeconds, ...setting, peers: setting.peers ?? peers, idleCounts, rounds, mostRounds, seconds }
    return runRounds(plan, around, startLoad, findings, tell)
  }

  const sections = []
  for (const setting of settings) {
    if (setting.workloads.length + setting.idleWorkloads.length > 0) sections.push(await runSetting(setting))
  }
  return {
    startedAt: startedAt.toISOString(),
    measuredSeconds: (Date.now() - startedAt.getTime()) / 1000,
    machine,
    versions,
    remarks: Object.fromEntries(everyPeer.map(({ name, remark }) => [name, remark])),
    ...findings,
    sections,
  }
}

async function main(): Promise<void> {
  const fileLimit = raiseFileLimit()
  const allSettings = listSettings(countPossibleSessions(fileLimit))
  const options = readOptions(process.argv.slice(2), allSettings)
  if (options === undefined) {
    process.stdout.write(describeOptions(allSettings))
    return
  }
  const { name, settings, isJudged, wantsPage } = options
  installPackages([...listPeers(options), ...settings].flatMap(({ packages }) => packages))

  const scene = openScene()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void scene.close().finally(() => process.exit(1)))
  }
  try {
    const report = await measure(scene, options, fileLimit)
    const sections = report.sections.map((section) => ({ ...section, summary: summarize(section, allSettings) }))
    const verdicts = judgeTargets(sections, report.failures)
    const tables = renderReport(report, sections, verdicts)
    const table = renderFeatures(sections)
    process.stdout.write(table === '' ? tables : `${table}\n${tables}`)
    await mkdir(RESULTS, { recursive: true })
    await writeFile(join(RESULTS, `${name}.json`), `${JSON.stringify({ ...report, verdicts }, undefined, 2)}\n`)
    const chart = drawReport(report, sections)
    await writeFile(join(RESULTS, `${name}.svg`), chart)
    if (wantsPage) {
      const docs = join(CHECKOUT, 'docs')
      if (name === 'features') await fillPart(docs, 'bench-features', `${table}\n${describeRun(report)}\n`)
      else await fillPage(docs, tables, chart)
    }
    if (report.failures.length > 0 || (isJudged && verdicts.some(({ isMet }) => !isMet))) process.exitCode = 1
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
