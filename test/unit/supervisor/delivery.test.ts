/** Settings that change while they are on their way to a worker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Settings } from '../../../src/config/settings.ts'
import { buildUserTable, type UserTable } from '../../../src/config/build/user-table.ts'
import { createDelivery } from '../../../src/supervisor/delivery.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'

function users(count: number, backend = 'store1'): UserTable {
  return buildUserTable(
    new Map(Array.from({ length: count }, (_, n) => [`user${n}@example.org`, { backend, login: undefined }])),
  )
}

/** A worker that takes each message only when it is let. */
function build(first: UserTable) {
  const sent: string[] = []
  const held: (() => void)[] = []
  let current = first
  const failures: string[] = []
  let isHolding = false
  let failing = 0
  let ended = false
  const take = (what: string): Promise<void> => {
    sent.push(what)
    if (failing-- > 0) return Promise.reject(new Error('no memory'))
    return isHolding ? new Promise((resolve) => held.push(resolve)) : Promise.resolve()
  }
  const deliver = createDelivery({
    settings: () => ({ routing: { users: current } }) as unknown as Settings,
    sendUsers: ({ is }) => take(is),
    start: () => take(`start ${current.size}`),
    configure: () => take(`configure ${current.size}`),
    hasEnded: () => ended,
    noteFailure: (error) => void failures.push(String(error)),
    retryMs: 1,
  })
  return {
    sent,
    failures,
    /** The next messages fail. */
    fail: (count: number) => (failing = count),
    deliver,
    change: (next: UserTable) => (current = next),
    hold: () => (isHolding = true),
    release: () => {
      isHolding = false
      for (const take of held.splice(0)) take()
    },
    end: () => (ended = true),
  }
}

test('sends the users ahead of the settings, and not again where they are the same', async () => {
  const { sent, deliver, change } = build(users(3))
  await deliver()
  assert.deepEqual(sent, ['first', 'records', 'slots', 'start 3'])
  sent.length = 0
  await deliver()
  assert.deepEqual(sent, ['configure 3'])
  sent.length = 0
  change(users(4))
  await deliver()
  assert.deepEqual(sent, ['first', 'records', 'slots', 'configure 4'])
})

test('breaks off users that are outdated, and delivers the last of several changes', async () => {
  const { sent, deliver, change, hold, release } = build(users(5000))
  hold()
  const delivered = deliver()
  change(users(2))
  const later = deliver()
  change(users(3))
  const last = deliver()
  release()
  await Promise.all([delivered, later, last])
  assert.deepEqual(sent, ['first', 'first', 'records', 'slots', 'start 3'])
})

test('sends nothing more to a process that has ended', async () => {
  const { sent, deliver, hold, release, end } = build(users(3))
  hold()
  const delivered = deliver()
  end()
  release()
  await delivered
  assert.deepEqual(sent, ['first'])
})

test('delivers all of it again to a process that could not take it', async () => {
  const { sent, failures, deliver, change, fail } = build(users(3))
  await deliver()
  sent.length = 0
  change(users(4))
  fail(2)
  await assert.rejects(deliver(), /no memory/)
  const all = ['first', 'first', 'first', 'records', 'slots', 'configure 4']
  await until(
    START_DEADLINE_MS,
    () => sent.length >= all.length || undefined,
    () => `sent: ${sent.join()}`,
  )
  assert.deepEqual([sent, failures], [all, ['Error: no memory', 'Error: no memory']])
})

test('does not deliver again what has been delivered since the failure', async () => {
  const { sent, deliver, change, fail } = build(users(3))
  fail(1)
  await assert.rejects(deliver(), /no memory/)
  change(users(4))
  await deliver()
  assert.deepEqual(sent, ['first', 'first', 'records', 'slots', 'start 4'])
})
