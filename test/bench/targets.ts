/** What mailmux is to reach, all features on: a ratio in the same run, to a peer or to itself under other conditions, or an amount. */
import {
  figureOf,
  type Interval,
  intervalOf,
  ratioOf,
  idleWorkloadOf,
  type Row,
  type Summary,
  type SummedSection,
} from './summary.ts'

type Place = { peer: string; row: string }

type Target = {
  setting: string
  figure: 'cpu' | 'busiest' | 'p99' | 'memory'
  /** of memory the row is the idle workload, and the largest of its counts is judged */
  own: Place
  /** what it is a ratio to; without it, it is an amount in KiB */
  base?: Place
  limit: number
  /** the limit is the least, not the most */
  isLeast?: true
  /** what to come to in the end; no verdict depends on it */
  aim?: number
  text?: string
}

export type Verdict = {
  text: string
  limit: number
  isLeast: boolean
  aim: number | undefined
  unit: string
  value: number | undefined
  /** of a ratio, with enough rounds; memory is read once */
  interval: Interval | undefined
  isMet: boolean
  /** why there is no value */
  reason: string | undefined
}

/** A ratio that a target judges by the CPU time or the latency of rounds. */
export type Pair = { figure: 'cpu' | 'busiest' | 'p99'; own: Place; base: Place }

const FIGURE_NAMES = { cpu: 'CPU', busiest: 'CPU of the busiest process', p99: 'p99 latency', memory: 'memory' }

/** To a peer in the same row, in front of the sink. */
function toPeer(own: string, base: string, figure: Pair['figure'], row: string, limit: number, aim?: number): Target {
  return { setting: 'sink', figure, own: { peer: own, row }, base: { peer: base, row }, limit, ...(aim && { aim }) }
}

function idle(peer: string, row: string, limit: number): Target {
  return { setting: 'sink', figure: 'memory', own: { peer, row }, limit }
}

/** What a runtime's login may cost, as a multiple of a minimal relay's on the same runtime. */
function login(own: string, bare: string): Target[] {
  return [
    toPeer(own, bare, 'cpu', 'login', 1.5, 1.3),
    toPeer(own, bare, 'cpu', 'login-tls', 1.2, 1.1),
    toPeer(own, bare, 'cpu', 'login-tls-resumed', 1.2, 1.1),
  ]
}

/** A login among many sessions, with many routes, and on two workers. `suffix` is of the runtime's peers. */
function scale(suffix: string): Target[] {
  const [one, two] = [`mailmux${suffix}`, `mailmux${suffix}-2-workers`]
  return [
    {
      setting: 'workers',
      figure: 'busiest',
      // two do so many times what one does as the busiest process spends less on an operation of both
      own: { peer: one, row: 'login' },
      base: { peer: two, row: 'login' },
      limit: 1.8,
      isLeast: true,
      text: `${two}: logins that two workers do on two cores, as a multiple of one worker's`,
    },
    {
      setting: 'routes',
      figure: 'cpu',
      own: { peer: `mailmux${suffix}-many-routes`, row: 'login' },
      base: { peer: `mailmux${suffix}-few-routes`, row: 'login' },
      limit: 1.05,
    },
    {
      setting: 'crowd',
      figure: 'cpu',
      own: { peer: one, row: 'login-among-many' },
      base: { peer: one, row: 'login-among-few' },
      limit: 1.05,
    },
  ]
}

const ON_NODE: Target[] = [
  ...login('mailmux', 'bare'),
  toPeer('mailmux-redis', 'bare', 'cpu', 'login', 1.5, 1.3),
  toPeer('mailmux', 'bare', 'cpu', 'noop', 1),
  toPeer('mailmux', 'bare', 'cpu', 'noop-tls', 1),
  toPeer('mailmux', 'nginx', 'p99', 'noop', 1.5),
  toPeer('mailmux', 'nginx', 'p99', 'noop-tls', 1.5),
  toPeer('mailmux', 'nginx', 'cpu', 'fetch', 0.7),
  toPeer('mailmux', 'nginx', 'cpu', 'fetch-tls', 0.9),
  toPeer('mailmux', 'nginx', 'cpu', 'append', 0.75),
  toPeer('mailmux', 'nginx', 'cpu', 'append-tls', 1.4),
  idle('mailmux', 'idle', 9.5),
  idle('mailmux', 'idle-tls', 30),
  ...scale(''),
]

const ON_BUN: Target[] = [
  ...login('mailmux-bun', 'bare-bun'),
  toPeer('mailmux-bun', 'nginx', 'cpu', 'noop', 1.3),
  toPeer('mailmux-bun', 'nginx', 'cpu', 'noop-tls', 1),
  toPeer('mailmux-bun', 'nginx', 'p99', 'noop', 1.3),
  toPeer('mailmux-bun', 'nginx', 'p99', 'noop-tls', 1.3),
  toPeer('mailmux-bun', 'nginx', 'cpu', 'fetch', 0.9),
  toPeer('mailmux-bun', 'nginx', 'cpu', 'fetch-tls', 0.65),
  toPeer('mailmux-bun', 'nginx', 'cpu', 'append', 1),
  toPeer('mailmux-bun', 'nginx', 'cpu', 'append-tls', 0.95),
  idle('mailmux-bun', 'idle', 11),
  idle('mailmux-bun', 'idle-tls', 16),
  ...scale('-bun'),
]

const TARGETS: Target[] = [...ON_NODE, ...ON_BUN]

/** The ratios of a setting that verdicts depend on. */
export function listPairs(setting: string): Pair[] {
  return TARGETS.flatMap(({ figure, own, base, ...target }) =>
    target.setting === setting && figure !== 'memory' && base !== undefined ? [{ figure, own, base }] : [],
  )
}

/** Of memory the row of most sessions: what each further one costs is told beside, and not judged. */
function findRow(summary: Summary, { figure }: Target, name: string): Row | undefined {
  return summary[figure].findLast((row) =>
    figure === 'memory' ? idleWorkloadOf(row.name) === name && !row.name.endsWith('@further') : row.name === name,
  )
}

/** A figure that is not of what its row says is none. */
function honestFigureOf(row: Row | undefined, peer: string): number | undefined {
  return row?.marks.has(peer) === true ? undefined : figureOf(row, peer)
}

function describe({ figure, own, base, text }: Target, titleOf: (row: string) => string): string {
  if (text !== undefined) return text
  const what = `${titleOf(own.row)}, ${FIGURE_NAMES[figure]}`
  if (base === undefined) return `${own.peer}: ${what}`
  if (base.peer !== own.peer) return `${own.peer} / ${base.peer}: ${what}`
  return `${own.peer}: ${what}, to that of ${titleOf(base.row)}`
}

/** Failures begin with the peer's name. */
function explain({ own, base }: Target, failures: string[]): string {
  const concerned = [own.peer, ...(base === undefined ? [] : [base.peer])]
  const found = failures.find((failure) => concerned.some((peer) => new RegExp(`^${peer}[:,]`).test(failure)))
  return found ?? 'no figure'
}

function judge(target: Target, { summary, workloads }: SummedSection, failures: string[]): Verdict {
  const { own, base, limit, isLeast = false, aim } = target
  const row = findRow(summary, target, own.row)
  const baseRow = base && findRow(summary, target, base.row)
  const amount = honestFigureOf(row, own.peer)
  const unit = base === undefined ? 1 : honestFigureOf(baseRow, base.peer)
  const isComplete = amount !== undefined && unit !== undefined
  const isRatio = isComplete && base !== undefined && row !== undefined && baseRow !== undefined
  const value = isRatio ? ratioOf(row, own.peer, base.peer, baseRow) : amount
  const isMet = isComplete && value !== undefined && (isLeast ? value >= limit : value <= limit)
  const titleOf = (name: string): string =>
    findRow(summary, target, name)?.title ?? workloads.find((workload) => workload.name === name)?.title ?? name
  return {
    ...{ text: describe(target, titleOf), limit, isLeast, aim, unit: base === undefined ? 'KiB' : '' },
    value: isComplete ? value : undefined,
    interval: isRatio ? intervalOf(row, own.peer, base.peer, baseRow) : undefined,
    isMet,
    reason: isComplete ? undefined : explain(target, failures),
  }
}

/** Every target that has to do with what a section was about; without a figure it is missed, for one of the failures. */
export function judgeTargets(sections: SummedSection[], failures: string[] = []): Verdict[] {
  return sections.flatMap((section) => {
    const isPart = ({ peer, row }: Place): boolean =>
      section.peers.includes(peer) && section.workloads.some(({ name }) => name === row)
    return TARGETS.filter(
      ({ setting, own, base = own }) => setting === section.name && isPart(own) && isPart(base),
    ).map((target) => judge(target, section, failures))
  })
}
