/** From the cells of a run to its verdicts, tables and chart. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { peers } from '../../bench/peers/peers.ts'
import { drawReport, renderReport } from '../../bench/render.ts'
import type { Report } from '../../bench/report.ts'
import { figureOf, isPrecise, median, medianInterval, ratioOf, type SummedSection } from '../../bench/summary.ts'
import { judgeTargets, type Verdict } from '../../bench/targets.ts'
import { cell, idleCell, section, settings } from './cells.ts'

const sinkPeers = peers.map(({ name }) => name)

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
    ...[100, 200, 100].map((us, index) => cell('login', 'bare', us, { round: index + 1 })),
    ...[125, 250, 200].map((us, index) => cell('login', 'mailmux', us, { round: index + 1 })),
  ])
  assert.equal(verdictOn(judgeTargets([slow]), /login/).value, 1.25)
  const [row] = slow.summary.cpu
  assert.equal(row && ratioOf(row, 'mailmux', 'bare'), 1.25)
  const gaps = section('sink', [
    ...[300, 300].map((us, index) => cell('login', 'bare', us, { round: index + 2 })),
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
      ...ratios.map((_, index) => cell('login', 'bare', 100, { round: index + 1 })),
      ...ratios.map((ratio, index) => cell('login', 'mailmux', 100 * ratio, { round: index + 1 })),
    ])

  test('is precise up to a twentieth of the ratio', () => {
    const isSo = (ratios: number[]): boolean =>
      rounds(ratios).summary.cpu.every((row) => isPrecise(row, 'mailmux', 'bare'))
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
    assert.match(text, /1\.20 \(1\.10 to 1\.30\)/)
    assert.match(text, /≤ 1\.5 \(aim 1\.3\) \| +1\.20 \| +1\.10 to 1\.30 \| +met \|/)
  })
})

describe('a target', () => {
  const login = (mailmuxUs: number) =>
    section('sink', [cell('login', 'bare', 100), cell('login', 'mailmux', mailmuxUs)])

  test('is met up to its limit, and missed above it', () => {
    assert.deepEqual(
      [150, 151].map((us) => verdictOn(judgeTargets([login(us)]), /login/)).map(({ value, isMet }) => [value, isMet]),
      [
        [1.5, true],
        [1.51, false],
      ],
    )
  })

  test('is missed when one of the two has no figure', () => {
    const failed = section('sink', [cell('login', 'bare', 100)], [], ['bare', 'mailmux'])
    const failures = ['mailmux-bun: another', 'mailmux: has no\n  way in']
    const verdicts = judgeTargets([failed], failures)
    const { value, isMet } = verdictOn(verdicts, /login/)
    assert.deepEqual([value, isMet], [undefined, false])
    assert.match(
      renderReport(reportOf([failed]), [failed], verdicts),
      /\| mailmux: has no \/ way in \| +\| \*\*missed\*\* \|/,
    )
  })

  test('is missed when a row that was wanted has no figure of any peer', () => {
    const nothing = { ...section('sink', [], [], ['mailmux']), workloads: [{ name: 'idle', title: 'idle session' }] }
    const { text, reason, isMet } = verdictOn(judgeTargets([nothing]), /idle/)
    assert.deepEqual([text, reason, isMet], ['mailmux: idle session, memory', 'no figure', false])
  })

  test('is not spoken of when the run was not about it', () => {
    assert.deepEqual(judgeTargets([section('sink', [cell('login', 'mailmux', 1)])]), [])
    assert.deepEqual(judgeTargets([section('dovecot', [cell('login', 'bare', 1), cell('login', 'mailmux', 9)])]), [])
  })

  test('takes no figure of handshakes that were not resumed for one of those that were', () => {
    const name = 'login-tls-resumed'
    const resumed = (mailmuxResumed: number) =>
      judgeTargets([
        section('sink', [
          cell(name, 'bare', 100, { resumed: 100 }),
          cell(name, 'mailmux', 50, { resumed: mailmuxResumed }),
        ]),
      ])
    assert.equal(verdictOn(resumed(100), /resumed/).isMet, true)
    assert.equal(verdictOn(resumed(99), /resumed/).isMet, false)
  })

  test('of memory is an amount, judged at the largest count of sessions', () => {
    for (const [kiB, isMet] of [
      [29_500, true],
      [29_600, false],
    ] as const) {
      const idle = section('sink', [], [idleCell('idle', 'mailmux', 1000, 99_000, kiB)])
      assert.deepEqual(
        judgeTargets([idle]).map((verdict) => [verdict.value, verdict.unit, verdict.interval, verdict.isMet]),
        [[(kiB - 1000) / 3000, 'KiB', undefined, isMet]],
      )
    }
  })

  test('of a crowd compares mailmux with itself, round by round', () => {
    const rounds = [1, 2, 3, 4, 5, 6]
    const crowd = section(
      'crowd',
      rounds.flatMap((round) => [
        cell('login-among-few', 'mailmux', 100 * round, { round }),
        cell('login-among-many', 'mailmux', 120 * round, { round }),
      ]),
    )
    const { value, interval, isMet } = verdictOn(judgeTargets([crowd]), /among 9,\d+ sessions, .*among 10 sessions/)
    assert.deepEqual([value, interval, isMet], [1.2, { low: 1.2, high: 1.2 }, false])
  })

  test('of two workers is met from its limit on, and looks at the busiest process', () => {
    for (const [busiestUs, isMet] of [
      [55, true],
      [56, false],
    ] as const) {
      const workers = section('workers', [
        cell('login', 'mailmux-bun', 100),
        cell('login', 'mailmux-bun-2-workers', 104, { busiestUsPerOperation: busiestUs }),
      ])
      const verdicts = judgeTargets([workers])
      const { value, isMet: isSo } = verdictOn(verdicts, /mailmux-bun-2-workers: .* two cores/)
      assert.deepEqual([value, isSo], [100 / busiestUs, isMet])
      assert.match(renderReport(reportOf([workers]), [workers], verdicts), /≥ 1\.8/)
    }
  })

  test('stands for each row on both runtimes, of peers and rows that there are', () => {
    const sections = settings.map(({ name, workloads, idleWorkloads }) => ({
      ...section(name, [], [], settings.flatMap(({ peers = [] }) => peers.map((peer) => peer.name)).concat(sinkPeers)),
      workloads: [...workloads, ...idleWorkloads],
    }))
    const texts = judgeTargets(sections).map(({ text }) => text)
    for (const peer of ['mailmux', 'mailmux-bun'])
      assert.equal(texts.filter((text) => new RegExp(`^${peer}[ :]`).test(text)).length, 14)
    assert.equal(texts.length, 33)
    assert.equal(new Set(texts).size, texts.length)
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
