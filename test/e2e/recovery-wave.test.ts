/** A store that comes back while 300 clients want in stays up, and is given its logins slowly at first. 2000: test/soak/recovery-wave.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runRecoveryWave } from '../support/recovery-wave.ts'

const SLOW_START_S = 6
const [FIRST, FULL] = [10, 100] // logins a second
const SESSIONS = 40

/** The logins that may have begun so many seconds after the start: the integral of a rate that grows by the same factor each second. */
function mayHaveBegun(seconds: number): number {
  const growing = Math.min(seconds, SLOW_START_S)
  const perSecond = Math.log(FULL / FIRST) / SLOW_START_S
  return (FIRST / perSecond) * (Math.exp(perSecond * growing) - 1) + FULL * (seconds - growing)
}

test('a store that comes back under a wave stays up, and its logins come faster and faster', async () => {
  const { perSecond, mostConnections, clientsIn, relapses, complaints } = await runRecoveryWave({
    clients: 300,
    backend: { limits: { sessions: SESSIONS, logins_per_second: FULL }, slow_start: `${SLOW_START_S}s` },
    reuse: true,
    deadlineMs: 60_000,
    leastMs: 1000,
    seed: 1,
  })
  const seen = `logins in each second: ${perSecond.join(' ')}`
  assert.equal(clientsIn, 300, seen)
  assert.deepEqual(complaints, [])
  assert.equal(relapses, 0)
  assert.ok(mostConnections <= SESSIONS + 2, `${mostConnections} connections`) // two may be mailmux's own, looking how it does
  // The test hears of each login, and of the beginning, a little late: a second is allowed for that.
  let begun = 0
  for (const [second, count] of perSecond.entries()) {
    begun += count
    assert.ok(begun <= mayHaveBegun(second + 2), `second ${second + 1}: ${seen}`)
  }
  assert.ok(Math.max(...perSecond) >= 3 * (perSecond[0] ?? 0), seen)
})
