/** Two mailmux, one Redis, three stores, and all that can happen to them: nobody is ever on two stores. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeReport, runChaos } from '../support/chaos.ts'

const options = {
  seed: Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000),
  ms: Number(process.env.CHAOS_SECONDS ?? 60) * 1000,
}

test('connects no user to two stores at once, whatever dies and comes back', async (context) => {
  const report = await runChaos(options)
  context.diagnostic(describeReport(options, report))
  assert.deepEqual(report.problems, [], describeReport(options, report))
  assert.ok(report.figures.accepted > options.ms / 1000, 'hardly anybody logged in: nothing was proven')
})
