/** Which peers are measured once more, since a ratio is not known well enough. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { findImprecise } from '../../bench/precision.ts'
import type { Cell } from '../../bench/report.ts'
import { listPairs } from '../../bench/targets.ts'
import { cell, section, settings } from './cells.ts'

describe('a further round', () => {
  const cells = (peer: string, values: number[], row = 'login', over: Partial<Cell> = {}) =>
    values.map((us, index) => cell(row, peer, us, { round: index + 1, ...over }))
  const steady = [100, 100, 100, 100, 100, 100]
  const noisy = [100, 110, 90, 100, 110, 90]
  const wanted = (name: string, all: Cell[]) => {
    const setting = settings.find((one) => one.name === name)!
    return [...findImprecise(section(name, all), setting.workloads)].map(([row, peers]) => [row, ...peers])
  }

  test('is for nobody when all ratios are precise', () => {
    assert.deepEqual(wanted('sink', [...cells('bare', steady), ...cells('mailmux', steady)]), [])
  })

  test('is for the peers of a ratio that is not precise, and for no other', () => {
    const all = [...cells('bare', steady), ...cells('mailmux', noisy), ...cells('nginx', steady)]
    assert.deepEqual(wanted('sink', all), [['login', 'mailmux', 'bare']])
  })

  test('is also for the ratio of a target that is not to the first peer', () => {
    const shared = noisy.map((us) => us * 2)
    const all = [...cells('nginx', noisy), ...cells('bare-bun', shared), ...cells('mailmux-bun', noisy.toReversed())]
    assert.deepEqual(wanted('sink', all), [['login', 'mailmux-bun', 'nginx', 'bare-bun']])
  })

  test('is for both rows of a ratio of two rows', () => {
    const all = [...cells('mailmux', steady, 'login-among-few'), ...cells('mailmux', noisy, 'login-among-many')]
    assert.deepEqual(wanted('crowd', all), [
      ['login-among-many', 'mailmux'],
      ['login-among-few', 'mailmux'],
    ])
  })

  test('is not for a peer that has failed', () => {
    assert.deepEqual(wanted('sink', [...cells('bare', steady)]), [])
  })

  test('looks at each ratio that is judged', () => {
    assert.ok(listPairs('sink').some(({ figure }) => figure === 'p99'))
    assert.ok(listPairs('workers').some(({ figure }) => figure === 'busiest'))
  })
})
