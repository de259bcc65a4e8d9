/** With one worker, operators get the answers of the app in the same process, in the form of those of several workers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endedAnswer } from '../../../src/admin/answers.ts'
import type { App } from '../../../src/app.ts'
import type { EndOrder } from '../../../src/answers.ts'
import type { Settings } from '../../../src/config/settings.ts'
import { NONE_INHERITED } from '../../../src/listener/inherited.ts'
import { createInProcessPool } from '../../../src/supervisor/in-process.ts'

test('ends sessions, and sets the state of a back end', async () => {
  const ordered: unknown[] = []
  const answers = {
    endSessions(order: EndOrder) {
      ordered.push(order)
      return 3
    },
    setBackendState(change: unknown) {
      ordered.push(change)
      return Promise.resolve({ result: 'changed' })
    },
  }
  const pool = createInProcessPool(
    () => ({ answers }) as unknown as App,
    {} as Settings,
    {} as Parameters<typeof createInProcessPool>[2],
    NONE_INHERITED,
    { join: () => undefined, renew: () => undefined },
  )
  const order = { user: 'alice', now: true }
  const ended = await pool.endSessions(order)
  assert.deepEqual([ended, endedAnswer.strict().parse(ended)], Array(2).fill({ ended: 3 }))
  const change = { backend: 'store1', order: undefined }
  assert.deepEqual(await pool.setBackendState(change), { result: 'changed' })
  assert.deepEqual(ordered, [order, change])
})
