/** Two mailmux, one Redis, three stores, their failures and the orders of operators: no user is ever on two stores, and no command is cut. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeReport, runChaos } from '../support/chaos.ts'
import { createVisitRecord, findOverlaps, findWanderers } from '../support/chaos-record.ts'
import { startChaosSite } from '../support/chaos-site.ts'
import { openMailClient } from '../support/mail-client.ts'
import type { Mailmux } from '../support/mailmux.ts'
import { PASSWORD } from '../support/site.ts'

/** With the time after it in which everything settles, the run takes a minute. */
const SECONDS = 52

const options = {
  seed: Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000),
  ms: Number(process.env.CHAOS_SECONDS ?? SECONDS) * 1000,
}

// Who would look for it in vain for a minute must know that it would be seen.
test('sees it where two instances agree on nothing: with a Redis each', async () => {
  const record = createVisitRecord(() => performance.now())
  const { scene, instances, strike } = await startChaosSite({ record, apart: true })
  const [first, second] = instances as [Mailmux, Mailmux]
  const name = (who: string) => Array.from({ length: 12 }, (_, number) => `${who}${number}@example.test`)
  const logIn = async (user: string, { ports }: Mailmux) => {
    const client = await openMailClient(scene, 'imap', ports.imapClear, 'clear', {})
    return client.login(user, PASSWORD) // and stays
  }
  try {
    const relieve = await strike('store1', 'kill')
    // A place that is kept on a store that dies stays kept for a minute, so others find out that it is down.
    await Promise.all(name('scout').map((scout) => logIn(scout, first)))
    await first.waitForLog((line) => line.msg === 'back end down' && line.backend === 'store1', 'that store1 is down')
    const guests = name('guest')
    const told = await Promise.all(guests.map((guest) => logIn(guest, first)))
    await relieve()
    told.push(...(await Promise.all(guests.map((guest) => logIn(guest, second)))))
    for (const { accepted, answer } of told) assert.ok(accepted, answer)

    // Every session is still there, and those whom the hash wants on store1 are connected twice.
    const accepted = new Map(guests.map((guest) => [guest, 2]))
    const astray = findWanderers(record.visits(), accepted)
    assert.ok(astray.length > 0)
    assert.equal(findOverlaps(record.visits()).length, astray.length)
  } finally {
    await scene.close()
  }
})

test('connects no user to two stores at once and cuts no command, whatever fails and whatever operators do', async (context) => {
  const report = await runChaos(options)
  context.diagnostic(describeReport(options, report))
  assert.deepEqual(report.problems, [], describeReport(options, report))
  const { accepted, commands, endedByMailmux } = report.figures
  assert.ok(accepted > options.ms / 1000, 'too few logins: nothing was proven')
  assert.ok(commands > options.ms / 1000 && endedByMailmux > 0, 'too few sessions at work: nothing was proven')
})
