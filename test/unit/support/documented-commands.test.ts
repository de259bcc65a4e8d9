import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBlocks } from '../../support/documented-commands.ts'

const fence = '```'

test('finds commands behind a prompt, with what goes on in the next line, and not their output', () => {
  const text = `x\n${fence}\n$ mailmux a \\\n  b\nmailmux c\n$ d\n${fence}\n`
  assert.deepEqual(readBlocks(text), [
    { line: 2, commands: ['mailmux a \\\n  b', 'd'], notRun: undefined, exitCode: 0 },
  ])
})

test('finds a block of nothing but commands, in a list too, and passes over output and configurations', () => {
  const text = `1. x\n\n   ${fence}\n   curl a\n   # why\n   mv b c\n   ${fence}\n${fence}\n{"level":"info"}\n${fence}\n${fence}yaml\na: 1\n${fence}\n`
  assert.deepEqual(
    readBlocks(text).map(({ commands }) => commands),
    [['curl a', 'mv b c']],
  )
})

test('reads the marks before a block', () => {
  const text = `<!-- not run: needs a cluster -->\n${fence}\nkubectl x\n${fence}\n\n<!-- ends with 75 -->\n${fence}\n$ y\n${fence}\n`
  assert.deepEqual(
    readBlocks(text).map(({ notRun, exitCode }) => [notRun, exitCode]),
    [
      ['needs a cluster', 0],
      [undefined, 75],
    ],
  )
})
