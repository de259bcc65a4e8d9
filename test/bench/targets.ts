/** What mailmux is to reach, all features on, one worker: a ratio to a peer in the same run, or an amount. */
import { figureOf, type Row, type Summary } from './summary.ts'

export type Target = {
  peer: string
  figure: 'cpu' | 'p99' | 'memory'
  /** a workload's name; of memory, that of the idle workload: each of its counts is judged */
  row: string
  atMost: number
  /** the peer that it is a ratio to; without one it is an amount, in KiB */
  against?: string
}

export type Verdict = { text: string; limit: number; unit: string; value: number | undefined; isMet: boolean }

const nodeTargets: Target[] = [
  { peer: 'mailmux', figure: 'cpu', row: 'login', atMost: 1.3, against: 'nginx' },
  { peer: 'mailmux-redis', figure: 'cpu', row: 'login', atMost: 1.3, against: 'nginx' },
  { peer: 'mailmux', figure: 'cpu', row: 'login-tls', atMost: 1, against: 'nginx' },
  { peer: 'mailmux', figure: 'cpu', row: 'login-tls-resumed', atMost: 1, against: 'nginx' },
  { peer: 'mailmux', figure: 'cpu', row: 'noop', atMost: 1.2, against: 'nginx' },
  { peer: 'mailmux', figure: 'cpu', row: 'noop-tls', atMost: 1.2, against: 'nginx' },
  { peer: 'mailmux', figure: 'p99', row: 'noop', atMost: 1.5, against: 'nginx' },
  { peer: 'mailmux', figure: 'p99', row: 'noop-tls', atMost: 1.5, against: 'nginx' },
  { peer: 'mailmux', figure: 'cpu', row: 'fetch', atMost: 0.7, against: 'nginx' },
  { peer: 'mailmux', figure: 'cpu', row: 'fetch-tls', atMost: 1, against: 'haproxy' },
  { peer: 'mailmux', figure: 'memory', row: 'idle', atMost: 15 },
  { peer: 'mailmux', figure: 'memory', row: 'idle-tls', atMost: 30 },
]

/** On Bun: ahead of nginx everywhere, and of HAProxy wherever TLS or bulk is most of the work. */
function listBunTargets(summary: Summary): Target[] {
  const rows = summary.cpu.map(({ name }) => name)
  const idleRows = new Set(summary.memory.map(({ name }) => idleWorkloadOf(name)))
  const isAheadOfHaproxy = (name: string) => name.includes('tls') || name.includes('fetch')
  const inAll = (against: string, wanted: (name: string) => boolean): Target[] => [
    ...rows.filter(wanted).map((row) => ({ peer: 'mailmux-bun', figure: 'cpu' as const, row, atMost: 1, against })),
    ...[...idleRows]
      .filter(wanted)
      .map((row) => ({ peer: 'mailmux-bun', figure: 'memory' as const, row, atMost: 1, against })),
  ]
  return [...inAll('nginx', () => true), ...inAll('haproxy', isAheadOfHaproxy)]
}

/** `idle@3000` is a row of `idle`. What each further session costs is told beside it, and not judged. */
function idleWorkloadOf(rowName: string): string {
  return rowName.slice(0, rowName.indexOf('@'))
}

function isOf({ figure, row }: Target, name: string): boolean {
  return figure === 'memory' ? name.startsWith(`${row}@`) && !name.endsWith('@further') : name === row
}

/** A figure that is not of what its row says is none. */
function honestFigureOf(row: Row, peer: string): number | undefined {
  return row.marks.has(peer) ? undefined : figureOf(row, peer)
}

function judge(target: Target, row: Row): Verdict {
  const { peer, figure, atMost, against } = target
  const own = honestFigureOf(row, peer)
  const base = against === undefined ? 1 : honestFigureOf(row, against)
  const value = own === undefined || base === undefined ? undefined : own / base
  const what = figure === 'p99' ? `${row.title}, p99 latency` : row.title
  return {
    text: against === undefined ? `${peer}: ${what}` : `${peer} / ${against}: ${what}`,
    limit: atMost,
    unit: against === undefined ? 'KiB' : '',
    value,
    isMet: value !== undefined && value <= atMost,
  }
}

/** Every target that has to do with the peers and rows of this run; without a figure it is missed. */
export function judgeTargets(summary: Summary, peers: string[]): Verdict[] {
  return [...nodeTargets, ...listBunTargets(summary)]
    .filter(({ peer, against }) => peers.includes(peer) && (against === undefined || peers.includes(against)))
    .flatMap((target) =>
      summary[target.figure].filter(({ name }) => isOf(target, name)).map((row) => judge(target, row)),
    )
}
