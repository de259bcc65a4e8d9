/**
 * `make bench-profile`: what a login of mailmux costs beside one of the minimal relay, by cause and by folder, and what it allocates. Needs perf.
 * On Bun the kernel, Bun's program, libraries and compiled JavaScript can be told apart, and no more: its program has no symbols.
 */
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { makeAuthority } from '../../support/certificates.ts'
import { isRunning } from '../../support/process-tree.ts'
import { openScene, type Scene } from '../../support/scene.ts'
import { startChild } from '../child.ts'
import { raiseFileLimit } from '../file-limit.ts'
import type { LoadAnswer, Order } from '../load-orders.ts'
import { type Load, measureLoad } from '../measure.ts'
import { USERS } from '../message.ts'
import { fillPart } from '../page.ts'
import { bare, bareBun } from '../peers/bare.ts'
import { mailmux, mailmuxBun } from '../peers/mailmux.ts'
import type { Peer, PeerSetup, RunningPeer } from '../peers/peer.ts'
import { describeMachine } from '../report.ts'
import { describeRun } from '../render.ts'
import { type Workload, workloads } from '../workloads.ts'
import type { Counts } from './count.ts'
import { type Profile, record } from './record.ts'
import { addUp, callerTable, causeTable, countTable, type Pair } from './render.ts'

const CHECKOUT = join(import.meta.dirname, '../../..')
const LOGINS = ['login', 'login-tls', 'login-tls-resumed', 'login-pop3']
const TITLES = ['clear', 'TLS full', 'TLS resumed', 'POP3']
/** With them perf knows the names of compiled and of interpreted functions. */
const NODE_OPTIONS = ['--perf-basic-prof', '--interpreted-frames-native-stack']
const WARM_UP_STEP_S = 0.5
const COUNT_S = 1
/** For one peer and workload, at most. */
const WARM_UP_S = 8

async function warmUp(load: Load, peer: RunningPeer, workload: Workload, seconds: number): Promise<void> {
  let done = 0
  for (let spent = 0; done < workload.warmUp && spent < seconds; spent += WARM_UP_STEP_S) {
    done += (await measureLoad(load, peer, workload, WARM_UP_STEP_S))?.figures.operations ?? 0
  }
}

/** V8 writes the names of the functions of each process there, and perf reads them there. */
const NAMES = '/tmp'

/** Those of ended processes of this checkout; mailmux has others at its start, which inherit its options. */
function removeNames(sinceMs: number): void {
  for (const file of readdirSync(NAMES)) {
    const pid = /^perf-(\d+)\.map$/.exec(file)?.[1]
    const path = join(NAMES, file)
    if (pid === undefined || isRunning(pid) || statSync(path).mtimeMs < sinceMs) continue
    if (readFileSync(path, 'latin1').includes(CHECKOUT)) rmSync(path, { force: true })
  }
}

async function readCounts(directory: string, peer: RunningPeer): Promise<Counts> {
  const answer = await text(connect(join(directory, `${peer.pids[0]}.counts`)))
  return JSON.parse(answer) as Counts
}

/** Calls and closures are counted from one reading to the next; all else since the start. */
const SINCE_LAST = new Set(['function calls', 'closures, at most'])

async function countOne(directory: string, load: Load, peer: RunningPeer, workload: Workload): Promise<Counts> {
  await measureLoad(load, peer, workload, COUNT_S)
  const before = await readCounts(directory, peer)
  const measured = await measureLoad(load, peer, workload, COUNT_S)
  const after = await readCounts(directory, peer)
  const operations = measured?.figures.operations ?? 0
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [
      name,
      (value - (SINCE_LAST.has(name) ? 0 : (before[name] ?? 0))) / operations,
    ]),
  )
}

type Around = { setup: PeerSetup; load: Load; tell: (progress: string) => void }

/** Starts both, has `act` look at each under each kind of login, and stops them. */
async function compare<Value>(
  [bareOne, mailmuxOne]: [Peer, Peer],
  { setup, tell }: Around,
  act: (peers: RunningPeer[], workload: Workload) => Promise<Value[]>,
): Promise<Pair<Value>[]> {
  const sinceMs = Date.now()
  const running = []
  for (const peer of [bareOne, mailmuxOne]) running.push(await peer.start(setup))
  try {
    const pairs: Pair<Value>[] = []
    for (const [index, name] of LOGINS.entries()) {
      const workload = workloads.find((one) => one.name === name)!
      tell(`${workload.title}: ${bareOne.name}, then ${mailmuxOne.name}`)
      const [ofBare, ofMailmux] = await act(running, workload)
      pairs.push({ title: TITLES[index]!, bare: ofBare!, mailmux: ofMailmux! })
    }
    return pairs
  } finally {
    for (const peer of running) await peer.stop()
    removeNames(sinceMs)
  }
}

function describeSums(pairs: Pair<Profile>[]): string[] {
  return addUp(pairs).map(({ title, rowsUs, countedUs, isWithin }) => {
    const verdict = isWithin ? 'they add up within 10 %' : '**they do not add up within 10 %**'
    return `- ${title}: the rows give ${rowsUs.toFixed(0)} µs of ${countedUs.toFixed(0)} µs counted; ${verdict}`
  })
}

/** `node`, `bun` and `counts` may each be left out. */
async function profile(scene: Scene, seconds: number, parts: Set<string>): Promise<string> {
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('bench')
  const { ready } = await startChild<never, { imap: number; pop3: number }>(scene, 'sink.ts')
  const load = await startChild<Order, LoadAnswer>(scene, 'load.ts', [authority.caFile, String(USERS)])
  const startedAt = new Date()
  const machine = describeMachine(raiseFileLimit())
  const tell = (progress: string): void => {
    process.stderr.write(`${((Date.now() - startedAt.getTime()) / 60_000).toFixed(1)} min  ${progress}\n`)
  }
  const around = (nodeOptions: string[]): Around => ({
    ...{ setup: { scene, backend: ready, certificate, nodeOptions }, load, tell },
  })
  const profileBoth = async (peers: RunningPeer[], workload: Workload): Promise<Profile[]> => {
    for (const peer of peers) await warmUp(load, peer, workload, WARM_UP_S)
    return record(scene.directory, load, peers, workload, seconds)
  }
  const blocks: string[][] = []
  if (parts.has('node')) {
    const pairs = await compare([bare, mailmux], around(NODE_OPTIONS), profileBoth)
    blocks.push(['On Node, by cause:'], causeTable(pairs), describeSums(pairs))
    blocks.push(['On Node, by the folder whose function had it done, all that it called included:'], callerTable(pairs))
  }
  if (parts.has('counts')) {
    const counter = `${import.meta.dirname}/count.ts?folder=${encodeURIComponent(scene.directory)}`
    const count = async (peers: RunningPeer[], workload: Workload) => {
      const counts = []
      for (const peer of peers) counts.push(await countOne(scene.directory, load, peer, workload))
      return counts
    }
    const pairs = await compare([bare, mailmux], around(['--import', `file://${counter}`]), count)
    blocks.push(['What a login allocates and calls, on Node:'], countTable(pairs))
  }
  if (parts.has('bun')) {
    const pairs = await compare([bareBun, mailmuxBun], around([]), profileBoth)
    blocks.push(['On Bun, by cause:'], causeTable(pairs), describeSums(pairs))
  }
  const measuredSeconds = (Date.now() - startedAt.getTime()) / 1000
  const version = await mailmux.version()
  blocks.push([`mailmux ${version}; ${describeRun({ startedAt: startedAt.toISOString(), machine, measuredSeconds })}`])
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

const HELP = `node test/bench/profile/profile.ts [options]
  --seconds N   of each profile: 5
  --parts A,B   of node,counts,bun
  --page        also puts the tables into docs/performance.md
`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '5' },
      parts: { type: 'string', default: 'node,counts,bun' },
      page: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  const scene = openScene()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void scene.close().finally(() => process.exit(1)))
  }
  try {
    const tables = await profile(scene, Number(values.seconds), new Set(values.parts.split(',')))
    process.stdout.write(tables)
    if (values.page) await fillPart(join(CHECKOUT, 'docs'), 'bench-profile', tables)
  } finally {
    await scene.close()
  }
}

await main()
