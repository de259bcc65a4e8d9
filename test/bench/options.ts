/** What a run is about: two presets, and the options that change them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createPeerBefore } from './peers/mailmux.ts'
import type { Peer } from './peers/peer.ts'
import { peers as allPeers } from './peers/peers.ts'
import type { Setting } from './settings.ts'

/** What a run does where no option says otherwise. */
type Preset = {
  name: string
  peers: string
  /** empty: all that the settings have */
  workloads: string
  settings: string
  rounds: string
  mostRounds: string
  seconds: string
  warmUpSeconds: number
  sessions: string
  isJudged: boolean
}

const FULL: Preset = {
  name: 'bench',
  // a route for each user in the file costs what one for the domain does: --peers mailmux,mailmux-static shows it
  peers: listNames(allPeers.filter(({ name }) => name !== 'mailmux-static')),
  workloads: '',
  settings: 'sink,dovecot,crowd,routes,workers',
  rounds: '6',
  mostRounds: '24',
  seconds: '1',
  warmUpSeconds: 15,
  sessions: '3000,10000',
  isJudged: true,
}

const QUICK: Preset = {
  name: 'quick',
  peers: 'bare,nginx,mailmux',
  workloads: 'login,login-tls,login-tls-resumed,noop-tls,fetch-tls,idle-tls',
  settings: 'sink',
  rounds: '6',
  mostRounds: '9',
  seconds: '0.3',
  warmUpSeconds: 2,
  sessions: '1000,2000',
  isJudged: false,
}

const FEATURES: Preset = {
  name: 'features',
  peers: 'mailmux',
  workloads: '',
  settings: 'features',
  rounds: '6',
  mostRounds: '9',
  seconds: '0.5',
  warmUpSeconds: 5,
  sessions: '1000',
  isJudged: false,
}

export type Options = {
  /** of the files that the run writes */
  name: string
  peers: Peer[]
  /** each with those of its workloads that are wanted */
  settings: Setting[]
  rounds: number
  /** where the rounds do not agree */
  mostRounds: number
  /** of each workload in each round */
  seconds: number
  /** for warming up for one workload, at most */
  warmUpSeconds: number
  /** how many to have open when memory is read */
  sessions: number[]
  nodeOptions: string[]
  /** whether a target that is missed fails the run */
  isJudged: boolean
  wantsPage: boolean
}

export function describeOptions(settings: Setting[]): string {
  return `node test/bench/bench.ts [options]
  --quick            a minute: ${QUICK.peers}; ${QUICK.workloads}; no target fails it
  --features         what each feature of mailmux costs, switched off or on
  --peers A,B        of ${listNames(allPeers)}; the ratios are to the first
  --before DIR       mailmux of another checkout and this one, in turn: the cost of a change
  --workloads A,B    of ${listNames(listWorkloads(settings))}
  --settings A,B     of ${listNames(settings)}; with --peers or --workloads only the first, unless named
  --rounds N         exactly N; else from ${FULL.rounds} to ${FULL.mostRounds} until the ratios are known to 5 %, quick ${QUICK.rounds} to ${QUICK.mostRounds}
  --seconds N        of each workload in each round: ${FULL.seconds}, quick ${QUICK.seconds}
  --sessions N,M     open when memory is read: ${FULL.sessions}, quick ${QUICK.sessions}
  --node-options S   for the node of mailmux and of bare, as in --node-options=--cpu-prof
  --page             also puts tables and chart into docs/performance.md
`
}

/** Throws at what it does not know, naming what there is; gives undefined when help was all that was asked for. */
export function readOptions(args: string[], allSettings: Setting[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      features: { type: 'boolean', default: false },
      peers: { type: 'string' },
      before: { type: 'string' },
      workloads: { type: 'string' },
      settings: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      sessions: { type: 'string' },
      'node-options': { type: 'string', default: '' },
      page: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const preset = values.quick ? QUICK : values.features ? FEATURES : FULL
  if (values.before === '' || (values.before !== undefined && !existsSync(join(values.before, 'src/main.ts'))))
    throw new Error(`${JSON.stringify(values.before)} is no checkout of mailmux: it has no src/main.ts`)
  const isPart = values.peers !== undefined || values.workloads !== undefined || values.before !== undefined
  const settings = choose(values.settings ?? (isPart && !values.features ? QUICK : preset).settings, allSettings)
  const fixed = settings.find(({ peers }) => peers !== undefined)
  if (values.before !== undefined && fixed !== undefined)
    throw new Error(`--before has no effect on the setting ${fixed.name}, which has peers of its own`)
  const workloads = values.workloads ?? preset.workloads
  const wanted = workloads === '' ? undefined : choose(workloads, listWorkloads(allSettings)).map(({ name }) => name)
  const isWanted = ({ name }: Named): boolean => wanted === undefined || wanted.includes(name)
  return {
    name: preset.name,
    peers: [
      ...(values.before === undefined ? [] : [createPeerBefore(values.before)]),
      ...choose(values.peers ?? (values.before === undefined ? preset.peers : 'mailmux'), allPeers),
    ],
    settings: settings.map((setting) => ({
      ...setting,
      workloads: setting.workloads.filter(isWanted),
      idleWorkloads: setting.idleWorkloads.filter(isWanted),
    })),
    rounds: readNumber(values.rounds ?? preset.rounds),
    mostRounds: readNumber(values.rounds ?? preset.mostRounds),
    seconds: readNumber(values.seconds ?? preset.seconds),
    warmUpSeconds: preset.warmUpSeconds,
    sessions: (values.sessions ?? preset.sessions).split(',').map(readNumber),
    nodeOptions: values['node-options'].split(' ').filter(Boolean),
    isJudged: preset.isJudged,
    wantsPage: values.page,
  }
}

type Named = { name: string }

function listNames(named: Named[]): string {
  return named.map(({ name }) => name).join(',')
}

function listWorkloads(settings: Setting[]): Named[] {
  const all = settings.flatMap(({ workloads, idleWorkloads }) => [...workloads, ...idleWorkloads])
  return [...new Map(all.map((workload) => [workload.name, workload])).values()]
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
