import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isInSample } from '../../mutants/sample.ts'
import { listMissed, summarize, type Report } from '../../mutants/summary.ts'

const at = (line: number, from: number, to: number, endLine = line) => ({
  start: { line, column: from },
  end: { line: endLine, column: to },
})

const report: Report = {
  files: {
    'src/routing/a.ts': {
      source: 'const a = b > c\nf(\n  1,\n)\n',
      mutants: [
        { status: 'Killed', mutatorName: 'X', location: at(1, 1, 2) },
        { status: 'Timeout', mutatorName: 'X', location: at(1, 1, 2) },
        { status: 'CompileError', mutatorName: 'X', location: at(1, 1, 2) },
        { status: 'Survived', mutatorName: 'EqualityOperator', replacement: 'b >= c', location: at(1, 11, 16) },
      ],
    },
    'src/routing/b.ts': {
      source: '\nf(\n  1,\n)\n',
      mutants: [{ status: 'NoCoverage', mutatorName: 'CallExpression', replacement: ';', location: at(2, 1, 2, 4) }],
    },
  },
}

test('counts the mutants of each file and of all, without those that do not compile', () => {
  assert.deepEqual(summarize('routing', report).slice(1), [
    ['routing/a.ts', '3', '2', '1', '1', '0', '67'],
    ['routing/b.ts', '1', '0', '0', '0', '1', '0'],
    ['routing', '4', '2', '1', '1', '1', '50'],
  ])
  assert.deepEqual(summarize('tls', { files: {} }).at(-1), ['tls', '0', '0', '0', '0', '0', ''])
})

test('lists what no test noticed, on one line each', () => {
  assert.equal(
    listMissed(report),
    'src/routing/a.ts:1 EqualityOperator: b > c  ->  b >= c\n' +
      'src/routing/b.ts:2 (not reached) CallExpression: f( 1, )  ->  ;\n',
  )
})

test('a sample is the same in each run, has its share, and is a part of each larger sample', () => {
  const places = Array.from({ length: 2000 }, (_, line) => `/src/routing/a.ts:${String(line)}:1:X:`)
  const draw = (percent: number) => places.filter((place) => isInSample(place, percent))
  const [fifth, all] = [draw(20), draw(100)]
  assert.deepEqual(draw(20), fifth)
  assert.ok(fifth.length > 300 && fifth.length < 500, String(fifth.length))
  assert.deepEqual(
    fifth.filter((place) => !isInSample(place, 40)),
    [],
  )
  assert.equal(all.length, places.length)
})
