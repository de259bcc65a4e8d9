/** A store that comes back while 300 clients want in stays up, and is given its logins slowly at first. 2000: test/soak/recovery-wave.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runRecoveryWave } from '../support/recovery-wave.ts'

const SLOW_START_S = 6
const [FIRST, FULL] = [10, 100] // logins a second
const SESSIONS = 40
/** What a quiet tenth of a second may leave over, at the full rate. */
const BURST = FULL / 10

/** The logins that may have begun so many seconds after the start: the integral of a rate that grows by the same factor each second. */
function mayHaveBegun(seconds: number): number {
  const growing = Math.min(seconds, SLOW_START_S)
  const perSecond = Math.log(FULL / FIRST) / SLOW_START_S
  return (FIRST / perSecond) * (Math.exp(perSecond * growing) - 1) + FULL * (seconds - growing)
}

test('a store that comes back under a wave stays up, and its logins come faster and faster', async () => {
  const { perSecond, underWay, mostConnections, clientsIn, relapses, complaints } = await runRecoveryWave({
    clients: 300,
    backend: { limits: { sessions: SESSIONS, logins_per_second: FULL }, slow_start: `${SLOW_START_S}s` },
    reuse: true,
    deadlineMs: 60_000,
    leastMs: 1000,
    seed: 1,
  })
  const seen = `${underWay} were under way; logins in each second: ${perSecond.join(' ')}`
  assert.equal(clientsIn, 300, seen)
  assert.deepEqual(complaints, [])
  assert.equal(relapses, 0)
  assert.ok(mostConnections <= SESSIONS + 2, `${mostConnections} connections`) // two may be mailmux's own, looking how it does
  // Of a login that is heard of late, as on a busy machine, it only seems that it began later.
  let begun = 0
  for (const [second, count] of perSecond.entries()) {
    begun += count
    assert.ok(begun <= underWay + mayHaveBegun(second + 1) + BURST, `second ${second + 1}: ${seen}`)
  }
  assert.ok(Math.max(...perSecond) >= 3 * FIRST, seen)
})
