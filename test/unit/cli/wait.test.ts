/** Waiting until no instance has a session on a back end. In memory, with a virtual clock. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionsAnswer } from '../../../src/admin/answers.ts'
import { waitUntilEmpty } from '../../../src/cli/wait.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

/** @param answers in turn; the last one again and again */
async function wait(answers: Partial<SessionsAnswer>[], timeoutMs = Infinity, options: { json?: true } = {}) {
  const clock = createVirtualClock()
  const out: string[] = []
  const errors: string[] = []
  const ask = async (): Promise<SessionsAnswer> => {
    await clock.sleep(10)
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    return { sessions: [], total: 0, ...answer }
  }
  const terminal = { env: {}, out: (line: string) => out.push(line), printError: (line: string) => errors.push(line) }
  const code = await clock.drive(waitUntilEmpty('store1', ask, timeoutMs, clock, terminal, options))
  return { code, out, errors, tookMs: clock.nowMs() }
}

test('ends when no session is left, and prints each change of the number', async () => {
  const { code, out, errors } = await wait([{ total: 3 }, { total: 3 }, { total: 1 }, { total: 0 }])
  assert.equal(code, 0)
  assert.deepEqual(out, ['3 sessions', '1 session', 'no session is left'])
  assert.deepEqual(errors, [])
})

test('does not wait for logins that wait for the store, and says that they do', async () => {
  const { code, out } = await wait([
    { total: 5, unconnected: 2 },
    { total: 4, unconnected: 2 },
    { total: 2, unconnected: 2 },
  ])
  assert.equal(code, 0)
  assert.deepEqual(out, [
    '3 sessions',
    '2 sessions',
    'no session is left; 2 logins wait, without a connection to store1',
  ])
})

test('waits for instances and workers that give no answer', async () => {
  const { code, out } = await wait([{ silent: ['web2/1'] }, { incomplete: [2] }, { lost: ['web3/1'] }, { total: 0 }])
  assert.equal(code, 0)
  assert.deepEqual(out, ['0 sessions', 'no session is left'])
})

test('names what is left at the end of its time', async () => {
  const { code, errors, tookMs } = await wait([{ total: 2, silent: ['web2/1'] }], 30_000)
  assert.equal(code, 1)
  assert.deepEqual(errors, [
    'mailmux wait: web2/1 did not answer: it may have sessions',
    'mailmux wait: left: 2 sessions',
  ])
  assert.ok(tookMs >= 30_000 && tookMs < 32_000, String(tookMs))
})

test('prints the counts as JSON, once at the end', async () => {
  const { code, out } = await wait([{ total: 3 }, { total: 2, unconnected: 2 }], Infinity, { json: true })
  assert.equal(code, 0)
  assert.deepEqual(JSON.parse(out.join('\n')), { left: 0, waiting: 2, isWhole: true })
  const late = await wait([{ total: 3 }], 5000, { json: true })
  assert.equal(late.code, 1)
  assert.deepEqual(JSON.parse(late.out.join('\n')), { left: 3, waiting: 0, isWhole: true })
})
