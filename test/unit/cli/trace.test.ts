/** What `mailmux trace` prints beside the lines of a trace. The admin port is a script. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import { trace } from '../../../src/cli/trace.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'
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

const LINE = { atMs: 0, session: 's-1', leg: 'note', text: 'phase routing' }

describe('a trace goes on', () => {
  test('while mailmux does not answer during an upgrade, and says that another process answers', async (t) => {
    const { config, terminal, out, errors } = await openAdminPort(t, 200, (nth: number) =>
      nth === 2 || nth === 3
        ? 'reset'
        : { lines: [LINE], dropped: 0, leftMs: [60_000, 0, 0, 300_000, 299_000, 0][nth - 1] ?? 0 },
    )
    assert.equal(await trace({ config, user: USER, for: '1m' }, terminal, new AbortController().signal), 0)
    assert.equal(out.length, 5)
    assert.match(errors[1] ?? '', /does not answer: ECONNRESET; the trace goes on when it answers again$/)
    assert.deepEqual(
      [errors[0], ...errors.slice(2)],
      [
        'mailmux trace: in force for 1m; Ctrl-C ends it earlier',
        'mailmux trace: another process of mailmux answers now; what was said in between is missing',
        'mailmux trace: 5 lines shown',
      ],
    )
  })

  test('only for its own time, whatever a new process says', async (t) => {
    const { config, terminal, asked } = await openAdminPort(t, 200, (nth: number) => ({
      lines: [],
      dropped: 0,
      leftMs: nth === 1 ? 700 : 300_000,
    }))
    assert.equal(await trace({ config, user: USER, for: '700ms' }, terminal, new AbortController().signal), 0)
    assert.ok(asked.length <= 5)
  })

  test('after more lines than a file gets', async (t) => {
    const lines = Array.from({ length: 30_000 }, () => LINE)
    const { config, terminal, out, errors } = await openAdminPort(t, 200, (nth: number) => ({
      lines,
      dropped: 0,
      leftMs: nth < 4 ? 60_000 - 500 * nth : 0,
    }))
    const save = path.join(path.dirname(config), 'saved')
    assert.equal(await trace({ config, user: USER, for: '1m', save }, terminal, new AbortController().signal), 0)
    assert.equal(out.length, 150_000)
    assert.equal(fs.readFileSync(save, 'utf8').split('\n').length - 1, 100_000)
    assert.match(errors[1] ?? '', /saved has 100000 lines, and gets no more; the trace goes on$/)
  })
})

describe('a trace ends', () => {
  test('soon after Ctrl-C, while mailmux does not answer', async (t) => {
    const stop = new AbortController()
    const { config, terminal, errors, hangs } = await openAdminPort(
      t,
      200,
      { lines: [], dropped: 0, leftMs: 60_000 },
      2,
    )
    const run = trace({ config, user: USER, for: '1m' }, terminal, stop.signal)
    await within(READ_DEADLINE_MS, hangs, () => 'no question hangs')
    stop.abort()
    assert.equal(await within(12_000, run, () => 'the trace has not ended'), 0)
    assert.match(errors[1] ?? '', /does not answer: the last lines may be missing, and the trace ends by itself$/)
  })
})
