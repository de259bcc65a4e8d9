/** What mailmux is to reach, all features on: a ratio in the same run, to a peer or to itself under other conditions, or an amount. */
import { figureOf, idleWorkloadOf, type Row, type Summary, type SummedSection } from './summary.ts'

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

export type Verdict = { text: string; limit: number; unit: string; value: number | undefined; isMet: boolean }

const FIGURE_NAMES = { cpu: 'CPU', busiest: 'CPU of the busiest process', p99: 'p99 latency', memory: 'memory' }

function toNginx(figure: Target['figure'], row: string, atMost: number, peer = 'mailmux'): Target {
  return { setting: 'sink', figure, own: { peer, row }, base: { peer: 'nginx', row }, atMost }
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
  {
    ...{ setting: 'sink', figure: 'cpu', atMost: 1 },
    ...{ own: { peer: 'mailmux', row: 'fetch-tls' }, base: { peer: 'haproxy', row: 'fetch-tls' } },
  },
  { setting: 'sink', figure: 'memory', own: { peer: 'mailmux', row: 'idle' }, atMost: 15 },
  { setting: 'sink', figure: 'memory', own: { peer: 'mailmux', row: 'idle-tls' }, atMost: 30 },
  {
    ...{ setting: 'crowd', figure: 'cpu', atMost: 1.1 },
    ...{ own: { peer: 'mailmux', row: 'login-among-many' }, base: { peer: 'mailmux', row: 'login-among-few' } },
  },
  {
    ...{ setting: 'routes', figure: 'cpu', atMost: 1.1 },
    ...{ own: { peer: 'mailmux-many-routes', row: 'login' }, base: { peer: 'mailmux-few-routes', row: 'login' } },
  },
  {
    // two workers do 1.8 times what one does, when the busiest process spends no more than this on an operation of all
    ...{ setting: 'workers', figure: 'busiest', atMost: 0.556 },
    ...{ own: { peer: 'mailmux-2-workers', row: 'login' }, base: { peer: 'mailmux', row: 'login' } },
  },
]

/** On Bun: ahead of nginx everywhere, and of HAProxy wherever TLS or a FETCH is most of the work. */
function listBunTargets({ cpu, memory }: Summary): Target[] {
  const rows = [
    ...cpu.map(({ name }) => ({ figure: 'cpu' as const, row: name })),
    ...[...new Set(memory.map(({ name }) => idleWorkloadOf(name)))].map((row) => ({ figure: 'memory' as const, row })),
  ]
  const ahead = (peer: string, { figure, row }: (typeof rows)[number]): Target => ({
    ...{ setting: 'sink', figure, atMost: 1, own: { peer: 'mailmux-bun', row }, base: { peer, row } },
  })
  return [
    ...rows.map((row) => ahead('nginx', row)),
    ...rows.filter(({ row }) => /tls|fetch/.test(row)).map((row) => ahead('haproxy', row)),
  ]
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

function judge({ figure, own, base, atMost }: Target, row: Row, baseRow: Row | undefined): Verdict {
  const amount = honestFigureOf(row, own.peer)
  const unit = base === undefined ? 1 : honestFigureOf(baseRow, base.peer)
  const value = amount === undefined || unit === undefined ? undefined : amount / unit
  const against = base === undefined ? '' : base.peer === own.peer ? ` / ${baseRow?.title}` : ` / ${base.peer}`
  const subject =
    base?.peer === own.peer ? `${own.peer}: ${row.title}${against}` : `${own.peer}${against}: ${row.title}`
  return {
    text: `${subject}, ${FIGURE_NAMES[figure]}`,
    limit: atMost,
    unit: base === undefined ? 'KiB' : '',
    value,
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
