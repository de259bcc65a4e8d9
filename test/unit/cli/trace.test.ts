/** What `mailmux trace` prints beside the lines of a trace. The admin port is a script. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { trace } from '../../../src/cli/trace.ts'
import { openAdminPort } from './admin-port.ts'

const USER = 'alice@example.test'

test('says when the trace is in force, and at its end that no session has matched', async (t) => {
  const { config, terminal, out, errors } = await openAdminPort(t, 200, { lines: [], dropped: 0, leftMs: 0 })
  assert.equal(await trace({ config, user: USER, for: '5m' }, terminal, new AbortController().signal), 0)
  assert.deepEqual(out, [])
  assert.deepEqual(errors, [
    'mailmux trace: in force for 5m; Ctrl-C ends it earlier',
    'mailmux trace: 0 lines shown: no session that matches said anything in this time',
  ])
})

test('does not say that a refused trace is in force', async (t) => {
  const { config, terminal, errors } = await openAdminPort(t, 200, {
    lines: [],
    dropped: 0,
    leftMs: 1000,
    refused: true,
  })
  assert.equal(await trace({ config, user: USER, for: '5m' }, terminal, new AbortController().signal), 1)
  assert.deepEqual(errors, ['mailmux trace: refused: there are as many traces as there may be'])
})
