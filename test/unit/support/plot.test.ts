import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseTicks, drawPlot } from '../../support/plot.ts'

test('ticks are round, begin at nothing and reach the highest value', () => {
  assert.deepEqual(chooseTicks(104, 6), [0, 20, 40, 60, 80, 100, 120])
  assert.deepEqual(chooseTicks(28, 10), [0, 5, 10, 15, 20, 25, 30])
  assert.deepEqual(chooseTicks(1, 6), [0, 1])
  assert.deepEqual(chooseTicks(2000, 4), [0, 500, 1000, 1500, 2000])
})

test('a picture has its title, its axes with their units, and a line with its name for each row of points', () => {
  const svg = drawPlot({
    title: 'Logins & more',
    x: 'seconds',
    y: 'logins a second',
    lines: [
      {
        name: 'with',
        points: [
          [0, 0],
          [5, 50],
          [10, 100],
        ],
      },
      { name: 'without', points: [[0, 100]] },
    ],
  })
  for (const words of ['Logins &amp; more', 'seconds', 'logins a second', '>with<', '>without<'])
    assert.ok(svg.includes(words), words)
  assert.match(svg, /<polyline points="64,324 400,198 736,72"/)
  assert.equal(svg.match(/<polyline/g)?.length, 2)
})

test('what is in the middle of the field is in the middle of the picture, however much there is', () => {
  for (const most of [10, 1000, 100_000]) {
    const svg = drawPlot({
      title: '',
      x: '',
      y: '',
      lines: [
        {
          name: '',
          points: [
            [most / 2, most / 2],
            [most, most],
          ],
        },
      ],
    })
    assert.match(svg, /<polyline points="400,198 736,72"/)
  }
})
