/** The reports of a move to the running mailmux: how often, in which size, and that a failed report does not affect the move. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { MoveReport } from '../../../src/admin/move-routes.ts'
import { createMoveReporter, openMoveReport } from '../../../src/cli/move-report.ts'
import type { MoveOutcome } from '../../../src/move/move-user.ts'
import { openAdminPort } from './admin-port.ts'

const MOVED: MoveOutcome = { kind: 'moved', heldMs: 1 }
const failed = (route: 'old' | 'unknown'): MoveOutcome => ({
  kind: 'failed',
  step: 'switch',
  why: 'x',
  temporary: true,
  route,
})
const orderOf = (user: string) => ({ user, from: 'store1', to: 'store2' })
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function open(t: TestContext, { total = 3, send }: { total?: number; send?: () => Promise<void> } = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const sent: MoveReport[] = []
  const reporter = createMoveReporter(total, async (report) => {
    sent.push(report)
    await send?.()
  })
  const pass = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms)
    await settle()
  }
  return { reporter, sent, pass }
}

test('reports the users that are being moved with their steps, the counts since the begin, and the end', async (t) => {
  const { reporter, sent, pass } = open(t, { total: 4 })
  for (const user of ['ann', 'bob', 'cid', 'dan']) reporter.begin(orderOf(user))
  reporter.step('ann', { step: 'hold', state: 'begin' })
  reporter.step('ann', { step: 'hold', state: 'done' })
  await pass(500)
  const users = ['bob', 'cid', 'dan'].map((user) => ({ ...orderOf(user), step: 'check' }))
  const { by, ...first } = sent[0] ?? assert.fail('no report')
  assert.match(by, /^[\w.-]+\/\d+$/)
  const counts = { total: 4, moved: 0, failed: 0, unknown: 0 }
  assert.deepEqual(first, {
    ...counts,
    running: 4,
    users: [{ ...orderOf('ann'), step: 'hold' }, ...users],
    isOver: false,
  })
  reporter.end('ann', MOVED)
  reporter.end('bob', failed('old'))
  reporter.end('cid', failed('unknown'))
  await pass(500)
  const middle = { by, total: 4, moved: 1, failed: 1, unknown: 1 }
  assert.deepEqual(sent[1], { ...middle, running: 1, users: users.slice(2), isOver: false })
  reporter.end('dan', MOVED)
  await reporter.close()
  assert.deepEqual(sent[2], { ...middle, moved: 2, running: 0, users: [], isOver: true })
  await pass(60_000)
  assert.equal(sent.length, 3)
})

test('reports again each 5 seconds, so that the run is not forgotten', async (t) => {
  const { reporter, sent, pass } = open(t)
  reporter.begin(orderOf('ann'))
  for (let second = 0; second < 11; second++) await pass(1000)
  assert.equal(sent.length, 3)
  await reporter.close()
})

test('has one report at a time under way, and goes on where one fails', async (t) => {
  const answers: (() => void)[] = []
  const { reporter, sent, pass } = open(t, {
    send: () => new Promise((_, reject) => answers.push(() => reject(new Error('nobody listens')))),
  })
  reporter.begin(orderOf('ann'))
  for (let index = 0; index < 10; index++) await pass(1000)
  assert.equal(sent.length, 1)
  answers[0]?.()
  await settle()
  await pass(500)
  assert.equal(sent.length, 2)
  answers[1]?.()
  const closing = reporter.close()
  await settle()
  answers[2]?.()
  await closing
  assert.equal(sent.at(-1)?.isOver, true)
})

test('keeps a report within the size that the API takes, with names of any length', async (t) => {
  for (const letter of ['x', '\u0001', 'ü', '漢']) {
    const { reporter, sent, pass } = open(t)
    for (let index = 0; index < 200; index++) reporter.begin(orderOf(`${index}${letter.repeat(300)}`))
    await pass(500)
    const { running, users } = sent[0] ?? assert.fail('no report')
    assert.equal(running, 200)
    assert.ok(users.length >= 1 && users.length <= 20)
    assert.ok(Buffer.byteLength(JSON.stringify(sent[0])) < 8192)
    await reporter.close()
    t.mock.timers.reset()
  }
})

test('reports to the admin port of the configuration, and not at all without a token', async (t) => {
  const { config, asked, tokens } = await openAdminPort(t, 200, { run: 'abcdef012345' })
  const reporter = openMoveReport(config, {}, 1)
  reporter.begin(orderOf('ann'))
  reporter.end('ann', MOVED)
  await reporter.close()
  assert.match(asked.join(), /^PUT \/api\/v1\/moves\/[\da-f]{12}$/)
  assert.deepEqual(
    [...tokens].map((token) => token?.slice(0, 7)),
    ['Bearer '],
  )
  const without = openMoveReport('/no/such/file', {}, 1)
  without.begin(orderOf('ann'))
  await without.close()
  const broken = await openAdminPort(t, 503, { error: 'no worker answers' })
  await openMoveReport(broken.config, {}, 1).close()
  assert.equal(broken.asked.length, 1)
})
