/** Which workers have not confirmed an order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { closePorts } from '../../../src/supervisor/late-workers.ts'
import type { Worker } from '../../../src/supervisor/worker-interface.ts'

function worker(number: number, state: ReturnType<Worker['state']>, answers: boolean) {
  const asked: unknown[] = []
  const ask = ((question: unknown) => {
    asked.push(question)
    return answers ? Promise.resolve(true) : Promise.reject(new Error('no answer'))
  }) as Worker['ask']
  return { number, state: () => state, ask, asked }
}

function bind() {
  const bound = { isOpen: true }
  const commit = () => void (bound.isOpen = false)
  const prepare = () => Promise.resolve({ added: [], commit, discard: () => undefined })
  return { bound, prepare }
}

test('a worker that does not close its ports is named, and one that has ended has none', async () => {
  const ports = bind()
  const workers = [worker(1, 'up', true), worker(2, 'up', false), worker(3, 'ended', false)]
  assert.deepEqual(await closePorts(ports, workers, 1000), [2])
  for (const { asked } of workers) assert.deepEqual(asked, [{ what: 'closePorts' }])
  assert.equal(ports.bound.isOpen, false)
})

for (const state of ['starting', 'not-answering'] as const)
  test(`no port is closed while a worker would not hear of it (${state})`, async () => {
    const ports = bind()
    const workers = [worker(1, 'up', true), worker(2, state, false)]
    assert.deepEqual(await closePorts(ports, workers, 1000), [2])
    assert.deepEqual([ports.bound.isOpen, workers.map(({ asked }) => asked)], [true, [[], []]])
  })
