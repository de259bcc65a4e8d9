/** Series of which shares are computed exist before anything is counted: a share is 0 then, and not absent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../../../src/metrics/metrics.ts'
import { createRegistry } from '../../../src/metrics/readings.ts'
import { PROTOCOL_NAMES } from '../../../src/protocol/registry.ts'

test('each outcome of a login is 0 for each protocol before the first login', async () => {
  const registry = createRegistry(() => 0)
  createMetrics(registry)
  const text = await registry.metrics()
  for (const protocol of PROTOCOL_NAMES)
    for (const outcome of ['accepted', 'refused', 'unavailable', 'misconfigured', 'disabled'])
      assert.ok(
        text.includes(`mailmux_logins_total{protocol="${protocol}",mechanism="PLAIN",outcome="${outcome}"} 0\n`),
        `${protocol} ${outcome}`,
      )
})
