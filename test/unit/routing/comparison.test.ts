import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createComparison } from '../../../src/routing/comparison.ts'

/** A store that answers as it is told, how often it was asked, and time that passes when it is told to. */
function open(t: TestContext, answers: (boolean | Error)[]) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const asked: number[] = []
  const comparison = createComparison((most) => {
    asked.push(most)
    const answer = answers.shift() ?? false
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
  })
  const pass = async (ms: number): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    t.mock.timers.tick(ms)
  }
  return { comparison, asked, pass }
}

test('asks piece by piece, with pauses, until there is nothing left', async (t) => {
  const { comparison, asked, pass } = open(t, [true, true, false])
  assert.equal(asked.length, 0)
  comparison.start()
  comparison.start()
  assert.deepEqual(asked, [100])
  await pass(49)
  assert.equal(asked.length, 1)
  await pass(1)
  await pass(50)
  await pass(100_000)
  assert.equal(asked.length, 3)
})

test('goes on after a store that did not answer, later', async (t) => {
  const { comparison, asked, pass } = open(t, [new Error('away'), false])
  comparison.start()
  await pass(4999)
  assert.equal(asked.length, 1)
  await pass(1)
  await pass(100_000)
  assert.equal(asked.length, 2)
})

test('ends when it is told to, even while the store is being asked', async (t) => {
  const { comparison, asked, pass } = open(t, [true, true])
  comparison.start()
  comparison.stop()
  await pass(100_000)
  assert.equal(asked.length, 1)
})
