import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createComparison } from '../../../../src/directory/remembered/comparison.ts'

/** A store that answers as it is told, what was asked of it, and time that passes when it is told to. */
function open(t: TestContext, answers: (boolean | Error)[]) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const asked: (number | 'begin')[] = []
  let nowMs = 0
  const comparison = createComparison(
    () => asked.push('begin'),
    (most) => {
      asked.push(most)
      const answer = answers.shift() ?? false
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
    },
    () => nowMs,
  )
  const pass = async (ms: number): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    nowMs += ms
    t.mock.timers.tick(ms)
  }
  return { comparison, asked, pass }
}

test('asks piece by piece, quickly for 200 ms and then with pauses, until there is nothing left', async (t) => {
  const { comparison, asked, pass } = open(
    t,
    Array.from({ length: 22 }, (_, index) => index < 21),
  )
  assert.equal(asked.length, 0)
  comparison.start()
  assert.deepEqual(asked, ['begin', 200])
  for (let ms = 0; ms < 200; ms += 10) await pass(10)
  assert.deepEqual(asked.slice(1), [...Array.from({ length: 20 }, () => 200), 100])
  await pass(49)
  assert.equal(asked.length, 22)
  await pass(1)
  assert.equal(asked.length, 23)
  await pass(100_000)
  assert.equal(asked.length, 23)
})

test('begins anew whenever it is started, and only once', async (t) => {
  const { comparison, asked, pass } = open(t, [true, true, true, false])
  comparison.start()
  await pass(0)
  comparison.start()
  await pass(10)
  await pass(10)
  await pass(100_000)
  assert.deepEqual(asked, ['begin', 200, 'begin', 200, 200, 200])
})

test('goes on after a store that did not answer, later', async (t) => {
  const { comparison, asked, pass } = open(t, [new Error('away'), false])
  comparison.start()
  await pass(4999)
  assert.equal(asked.length, 2)
  await pass(1)
  await pass(100_000)
  assert.equal(asked.length, 3)
})

test('ends when it is closed, even during a question to the store', async (t) => {
  const { comparison, asked, pass } = open(t, [true, true])
  comparison.start()
  comparison.stop()
  await pass(100_000)
  assert.equal(asked.length, 2)
})
