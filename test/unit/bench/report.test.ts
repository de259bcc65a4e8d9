/** From the cells of a run to its verdicts, tables and chart. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { drawReport, renderReport } from '../../bench/render.ts'
import type { Cell, IdleCell, Report } from '../../bench/report.ts'
import { listSettings } from '../../bench/settings.ts'
import {
  figureOf,
  isPrecise,
  median,
  medianInterval,
  ratioOf,
  summarize,
  type SummedSection,
} from '../../bench/summary.ts'
import { judgeTargets, type Verdict } from '../../bench/targets.ts'

const settings = listSettings(9_700)

function cell(workload: string, peer: string, cpuUs: number, over: Partial<Cell> = {}): Cell {
  return {
    ...{ workload, peer, round: 1, operations: 100, seconds: 1, p50Us: 10, p99Us: 20, resumed: 0 },
    ...{ cpuUsPerOperation: cpuUs, busiestUsPerOperation: cpuUs, systemShare: 0.5, cpuSource: 'schedstat' },
    ...over,
  }
}

function idleCell(workload: string, peer: string, ...kiB: number[]): IdleCell {
  const counts = [0, 1000, 3000]
  return { workload, peer, readings: kiB.map((value, index) => ({ sessions: counts[index]!, kiB: value })) }
}

function section(name: string, cells: Cell[], idleCells: IdleCell[] = [], peers?: string[]): SummedSection {
  const present = [...new Set([...cells, ...idleCells].map(({ peer }) => peer))]
  const plain = { name, title: name, peers: peers ?? present, cells, idleCells }
  return { ...plain, summary: summarize(plain, settings) }
}

function reportOf(sections: SummedSection[]): Report {
  return {
    ...{ startedAt: '2026-01-02T03:04:05.678Z', measuredSeconds: 1 },
    machine: { cpu: 'A <fast> one', cores: 2, memoryMiB: 1, kernel: 'Linux', openFiles: 1, loadAverageAtStart: 0 },
    ...{ versions: { nginx: '1.2' }, remarks: {}, handshakes: {}, notes: [], failures: ['it\n  broke'], sections },
  }
}

function verdictOn(verdicts: Verdict[], text: RegExp): Verdict {
  const found = verdicts.filter((verdict) => text.test(verdict.text))
  assert.equal(found.length, 1, `${text} is in ${verdicts.map((verdict) => verdict.text).join('; ')}`)
  return found[0]!
}

test('the median of an even number of rounds lies between the two in the middle', () => {
  assert.equal(median([4, 1, 2, 100]), 3)
  assert.equal(median([]), undefined)
})

test('a ratio is taken within each round that has both peers, in the table and in the verdict', () => {
  const slow = section('sink', [
    ...[100, 200, 100].map((us, index) => cell('login', 'nginx', us, { round: index + 1 })),
    ...[125, 250, 200].map((us, index) => cell('login', 'mailmux', us, { round: index + 1 })),
  ])
  assert.equal(verdictOn(judgeTargets([slow]), /login/).value, 1.25)
  const [row] = slow.summary.cpu
  assert.equal(row && ratioOf(row, 'mailmux', 'nginx'), 1.25)
  const gaps = section('sink', [
    ...[300, 300].map((us, index) => cell('login', 'nginx', us, { round: index + 2 })),
    ...[630, 300].map((us, index) => cell('login', 'mailmux', us, { round: index + 1 })),
  ])
  assert.equal(verdictOn(judgeTargets([gaps]), /login/).value, 1)
})

describe('the interval of a ratio', () => {
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

  // The ranks are those of tables of the sign test, for 95 %.
  for (const [count, low, high] of [
    [6, 1, 6],
    [9, 2, 8],
    [20, 6, 15],
    [60, 22, 39],
  ] as const)
    test(`of ${count} rounds lies between the values of rank ${low} and ${high}`, () => {
      assert.deepEqual(medianInterval(upTo(count)), { low, high })
    })

  test('needs six rounds', () => {
    assert.equal(medianInterval(upTo(5)), undefined)
    assert.equal(medianInterval([]), undefined)
  })

  const rounds = (ratios: number[]) =>
    section('sink', [
      ...ratios.map((_, index) => cell('login', 'nginx', 100, { round: index + 1 })),
      ...ratios.map((ratio, index) => cell('login', 'mailmux', 100 * ratio, { round: index + 1 })),
    ])

  test('is precise up to a twentieth of the ratio', () => {
    const isSo = (ratios: number[]): boolean => rounds(ratios).summary.cpu.every(isPrecise)
    assert.equal(isSo([1, 1, 1, 1, 1, 1.04]), true)
    assert.equal(isSo([1, 1, 1, 1, 1, 1.06]), false)
    assert.equal(isSo([1, 1, 1, 1, 1]), false)
    assert.equal(isSo([1, 1, 1, 1, 1, 1, 1, 1, 9]), true)
  })

  test('stands in the table and in the verdict', () => {
    const some = rounds([1.1, 1.2, 1.2, 1.2, 1.2, 1.3])
    const verdicts = judgeTargets([some])
    assert.deepEqual(verdictOn(verdicts, /login/).interval, { low: 1.1, high: 1.3 })
    const text = renderReport(reportOf([some]), [some], verdicts)
    assert.equal(text.split('1.20 (1.10 to 1.30)').length, 3)
  })
})

describe('a target', () => {
  const login = (mailmuxUs: number) =>
    section('sink', [cell('login', 'nginx', 100), cell('login', 'mailmux', mailmuxUs)])

  test('is met up to its limit, and missed above it', () => {
    assert.deepEqual(
      [130, 131].map((us) => verdictOn(judgeTargets([login(us)]), /login/)).map(({ value, isMet }) => [value, isMet]),
      [
        [1.3, true],
        [1.31, false],
      ],
    )
  })

  test('is missed when one of the two has no figure', () => {
    const failed = section('sink', [cell('login', 'nginx', 100)], [], ['nginx', 'mailmux'])
    const { value, isMet } = verdictOn(judgeTargets([failed]), /login/)
    assert.deepEqual([value, isMet], [undefined, false])
  })

  test('is not spoken of when the run was not about it', () => {
    assert.deepEqual(judgeTargets([section('sink', [cell('login', 'mailmux', 1)])]), [])
    assert.deepEqual(judgeTargets([section('dovecot', [cell('login', 'nginx', 1), cell('login', 'mailmux', 9)])]), [])
  })

  test('takes no figure of handshakes that were not resumed for one of those that were', () => {
    const name = 'login-tls-resumed'
    const resumed = (mailmuxResumed: number) =>
      judgeTargets([
        section('sink', [
          cell(name, 'nginx', 100, { resumed: 100 }),
          cell(name, 'mailmux', 50, { resumed: mailmuxResumed }),
        ]),
      ])
    assert.equal(verdictOn(resumed(100), /resumed/).isMet, true)
    assert.equal(verdictOn(resumed(99), /resumed/).isMet, false)
  })

  test('of memory is an amount, judged at each count of sessions', () => {
    const idle = section('sink', [], [idleCell('idle', 'mailmux', 1000, 15_000, 50_000)])
    assert.deepEqual(
      judgeTargets([idle]).map(({ value, unit, isMet }) => [value, unit, isMet]),
      [
        [14, 'KiB', true],
        [49_000 / 3000, 'KiB', false],
      ],
    )
  })

  test('of a crowd compares mailmux with itself', () => {
    const crowd = section('crowd', [cell('login-among-few', 'mailmux', 100), cell('login-among-many', 'mailmux', 120)])
    const { value, isMet } = verdictOn(judgeTargets([crowd]), /among 9,\d+ sessions, .*among 10 sessions/)
    assert.deepEqual([value, isMet], [1.2, false])
  })

  test('of two workers looks at the busiest process', () => {
    const workers = section('workers', [
      cell('login', 'mailmux', 100),
      cell('login', 'mailmux-2-workers', 104, { busiestUsPerOperation: 53 }),
    ])
    assert.equal(verdictOn(judgeTargets([workers]), /busiest/).isMet, true)
  })

  test('on Bun asks for every row against nginx, and for TLS and FETCH against HAProxy', () => {
    const rows = ['login', 'login-tls', 'fetch'].flatMap((row) =>
      ['nginx', 'haproxy', 'mailmux-bun'].map((peer) => cell(row, peer, 100)),
    )
    const texts = judgeTargets([section('sink', rows)]).map(({ text }) => text)
    assert.equal(texts.filter((text) => text.startsWith('mailmux-bun / nginx')).length, 3)
    assert.equal(texts.filter((text) => text.startsWith('mailmux-bun / haproxy')).length, 2)
  })
})

test('each further session is reckoned from the first count on', () => {
  const { memory } = section('sink', [], [idleCell('idle', 'nginx', 1000, 11_000, 51_000)]).summary
  assert.deepEqual(
    memory.map((row) => [row.name, figureOf(row, 'nginx')]),
    [
      ['idle@1000', 10],
      ['idle@3000', 50_000 / 3000],
      ['idle@further', 20],
    ],
  )
})

describe('a report', () => {
  const sections = [
    section('sink', [
      cell('login', 'nginx', 100),
      cell('login', 'nginx', 120, { round: 2 }),
      cell('login', 'mailmux', 55),
      cell('login', 'direct', 0, { cpuUsPerOperation: undefined, busiestUsPerOperation: undefined }),
      cell('login-tls-resumed', 'nginx', 10, { resumed: 100 }),
      cell('login-tls-resumed', 'mailmux', 10, { resumed: 7 }),
    ]),
  ]
  const report = reportOf(sections)
  const text = renderReport(report, sections, judgeTargets(sections))

  test('shows medians, ratios, the widest spread and what failed', () => {
    assert.match(text, /\| login \+ logout, clear +\| +110 \| +55\.0 \| +18 % nginx \|/)
    assert.match(text, /\| login \+ logout, clear +\| +0\.55 \|/)
    assert.match(text, /\*\*Failed:\*\* it \/ broke/)
  })

  test('marks who did not resume every session', () => {
    assert.match(text, /\| login \+ logout, TLS resumed +\| +10\.0 \| +10\.0 † \|/)
    assert.match(text, /nginx resumed 100 of 100 TLS sessions/)
    assert.match(text, /† mailmux resumed only 7 of 100/)
  })

  test('is drawn: a group a workload, a bar for each peer but the first', () => {
    const chart = drawReport(report, sections)
    assert.equal(chart.match(/<title>mailmux /g)?.length, 2)
    assert.doesNotMatch(chart, /<fast>/)
    assert.match(chart, /mailmux 0\.55/)
  })
})
