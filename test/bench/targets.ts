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
  /** of memory the row is the idle workload: each of its counts is judged */
  own: Place
  /** what it is a ratio to; without it, it is an amount in KiB */
  base?: Place
  atMost: number
}

export type Verdict = {
  text: string
  limit: number
  unit: string
  value: number | undefined
  /** of a ratio of two peers in one row, with enough rounds */
  interval: Interval | undefined
  isMet: boolean
}

const FIGURE_NAMES = { cpu: 'CPU', busiest: 'CPU of the busiest process', p99: 'p99 latency', memory: 'memory' }

function toPeer(base: string, figure: Target['figure'], row: string, atMost: number, peer = 'mailmux'): Target {
  return { setting: 'sink', figure, own: { peer, row }, base: { peer: base, row }, atMost }
}

function toNginx(figure: Target['figure'], row: string, atMost: number, peer = 'mailmux'): Target {
  return toPeer('nginx', figure, row, atMost, peer)
}

const TARGETS: Target[] = [
  toNginx('cpu', 'login', 1.3),
  toNginx('cpu', 'login', 1.3, 'mailmux-redis'),
  toNginx('cpu', 'login-tls', 1),
  toNginx('cpu', 'login-tls-resumed', 1),
  toNginx('cpu', 'noop', 1.2),
  toNginx('cpu', 'noop-tls', 1.2),
  toNginx('p99', 'noop', 1.5),
  toNginx('p99', 'noop-tls', 1.5),
  toNginx('cpu', 'fetch', 0.7),
  toPeer('haproxy', 'cpu', 'fetch-tls', 1),
  { setting: 'sink', figure: 'memory', own: { peer: 'mailmux', row: 'idle' }, atMost: 15 },
  { setting: 'sink', figure: 'memory', own: { peer: 'mailmux', row: 'idle-tls' }, atMost: 30 },
  {
    setting: 'crowd',
    figure: 'cpu',
    own: { peer: 'mailmux', row: 'login-among-many' },
    base: { peer: 'mailmux', row: 'login-among-few' },
    atMost: 1.1,
  },
  {
    setting: 'routes',
    figure: 'cpu',
    own: { peer: 'mailmux-many-routes', row: 'login' },
    base: { peer: 'mailmux-few-routes', row: 'login' },
    atMost: 1.1,
  },
  {
    setting: 'workers',
    figure: 'busiest',
    own: { peer: 'mailmux-2-workers', row: 'login' },
    base: { peer: 'mailmux', row: 'login' },
    atMost: 0.556, // two do 1.8 times what one does when the busiest process spends no more than this on an operation of both
  },
]

/** On Bun: ahead of nginx everywhere, and of HAProxy wherever TLS or a FETCH is most of the work. */
function listBunTargets({ cpu, memory }: Summary): Target[] {
  const idle = new Set(memory.map(({ name }) => idleWorkloadOf(name)))
  const ahead = (peer: string, isWanted: (row: string) => boolean): Target[] => [
    ...cpu
      .map(({ name }) => name)
      .filter(isWanted)
      .map((row) => toPeer(peer, 'cpu', row, 1, 'mailmux-bun')),
    ...[...idle].filter(isWanted).map((row) => toPeer(peer, 'memory', row, 1, 'mailmux-bun')),
  ]
  return [...ahead('nginx', () => true), ...ahead('haproxy', (row) => /tls|fetch/.test(row))]
}

/** What each further session costs is told beside the others, and not judged. */
function findRows(summary: Summary, figure: Target['figure'], name: string): Row[] {
  return summary[figure].filter((row) =>
    figure === 'memory' ? idleWorkloadOf(row.name) === name && !row.name.endsWith('@further') : row.name === name,
  )
}

/** A figure that is not of what its row says is none. */
function honestFigureOf(row: Row | undefined, peer: string): number | undefined {
  return row?.marks.has(peer) === true ? undefined : figureOf(row, peer)
}

function describe({ figure, own, base }: Target, row: Row, baseRow: Row | undefined): string {
  const what = `${row.title}, ${FIGURE_NAMES[figure]}`
  if (base === undefined) return `${own.peer}: ${what}`
  if (base.peer !== own.peer) return `${own.peer} / ${base.peer}: ${what}`
  return `${own.peer}: ${what}, to that of ${baseRow?.title ?? base.row}`
}

function judge(target: Target, row: Row, baseRow: Row | undefined): Verdict {
  const { own, base, atMost } = target
  const amount = honestFigureOf(row, own.peer)
  const unit = base === undefined ? 1 : honestFigureOf(baseRow, base.peer)
  const quotient = amount === undefined || unit === undefined ? undefined : amount / unit
  // Of two peers in one row, as the table shows it.
  const paired = base !== undefined && baseRow === row ? ratioOf(row, own.peer, base.peer) : undefined
  const value = quotient === undefined ? undefined : (paired ?? quotient)
  const isPaired = value !== undefined && paired !== undefined && base !== undefined
  return {
    text: describe(target, row, baseRow),
    limit: atMost,
    unit: base === undefined ? 'KiB' : '',
    value,
    interval: isPaired ? intervalOf(row, own.peer, base.peer) : undefined,
    isMet: value !== undefined && value <= atMost,
  }
}

/** Every target that has to do with what a section was about; without a figure it is missed. */
export function judgeTargets(sections: SummedSection[]): Verdict[] {
  return sections.flatMap(({ name, peers, summary }) => {
    const targets = [...TARGETS, ...listBunTargets(summary)].filter(
      ({ setting, own, base }) =>
        setting === name && peers.includes(own.peer) && (base === undefined || peers.includes(base.peer)),
    )
    return targets.flatMap((target) => {
      const { figure, own, base } = target
      return findRows(summary, figure, own.row).map((row) =>
        judge(target, row, base?.row === own.row ? row : findRows(summary, figure, base?.row ?? '')[0]),
      )
    })
  })
}
