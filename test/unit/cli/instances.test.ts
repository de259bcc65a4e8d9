/** `mailmux instances`: the table that people read. test/e2e/instances.test.ts runs the command. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatInstances } from '../../../src/cli/instances.ts'

const NOW_MS = 1_800_000_000_000
const UP = {
  id: '0123456789ab',
  host: 'mail1',
  state: 'up',
  self: true,
  pid: 7,
  version: '1.2.3',
  generation: 1,
  workers: 2,
  sessions: 512,
  sinceMs: NOW_MS - 3_725_000,
} as const

test('shows each instance, and how old the heartbeat is of one that did not answer', () => {
  const silent = {
    ...UP,
    id: 'ba9876543210',
    host: 'mail2',
    state: 'silent',
    self: false,
    heartbeatSeconds: 12,
  } as const
  const lost = { id: 'ffffffffffff', host: 'mail3', state: 'lost', self: false, heartbeatSeconds: 125 } as const
  assert.deepEqual(formatInstances({ instances: [UP, silent, lost], scope: 'all' }, NOW_MS), [
    'HOST   ID            STATE   VERSION  GENERATION  WORKERS  SESSIONS  AGE',
    'mail1  0123456789ab  up      1.2.3    1           2        512       1h 2m  (this instance)',
    'mail2  ba9876543210  silent  1.2.3    1           2        512       1h 2m  last heartbeat 12s ago',
    'mail3  ffffffffffff  lost    -        -           -        -         -      last heartbeat 2m 5s ago',
    '3 instances, of which 2 did not answer',
  ])
})

test('says that it covers only this instance, and why', () => {
  const lines = formatInstances({ instances: [UP], scope: 'instance', why: 'the directory is not Redis' }, NOW_MS)
  assert.equal(lines.at(-1), '1 instance; only this instance is asked: the directory is not Redis')
})
