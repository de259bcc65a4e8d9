/** Workers that leave: each ends when its last session has ended. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createLeavingWorkers } from '../../../src/supervisor/leaving-workers.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'

function start(t: TestContext, sessions: Record<string, number | undefined>) {
  const ended: string[] = []
  const asked: string[] = []
  const leaving = createLeavingWorkers<string>(
    (worker) => {
      asked.push(worker)
      const count = sessions[worker]
      return count === undefined ? Promise.reject(new Error('no answer')) : Promise.resolve(count)
    },
    (worker) => void ended.push(worker),
    1,
  )
  t.after(() => leaving.close())
  const wait = (what: string, look: () => boolean) =>
    until(
      START_DEADLINE_MS,
      () => look() || undefined,
      () => what,
    )
  return { leaving, ended, asked, wait }
}

test('ends a worker once it has no session, and not before', async (t) => {
  const sessions = { two: 1, three: 0 }
  const { leaving, ended, asked, wait } = start(t, sessions)
  leaving.set(['two', 'three'])
  await wait('three has not ended', () => ended.includes('three'))
  const before = asked.length
  await wait('two is not asked again', () => asked.length > before + 2)
  assert.deepEqual([ended, leaving.has('two'), leaving.has('three')], [['three'], true, false])
  sessions.two = 0
  await wait('two has not ended', () => ended.includes('two'))
})

test('does not end a worker that does not answer, or that serves again', async (t) => {
  const sessions: Record<string, number | undefined> = { two: undefined, three: 1 }
  const { leaving, ended, asked, wait } = start(t, sessions)
  leaving.set(['two', 'three'])
  await wait('three is not asked', () => asked.includes('three'))
  leaving.set(['two'])
  sessions.three = 0
  const before = asked.length
  await wait('two is not asked again', () => asked.length > before + 2)
  assert.deepEqual([ended, leaving.has('three')], [[], false])
})
