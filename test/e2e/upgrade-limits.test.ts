/** The limits of an instance without Redis across an upgrade: a guesser stays delayed, and the sessions of the old generation count. */
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { READ_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Generations, watchGenerations } from '../support/generations.ts'
import { lacks } from '../support/runtime.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'

if (lacks('passingPorts')) process.exit(0)

const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'
/** The delay of the login after the first guess, and the least that counts as delayed: without the penalty it takes some milliseconds. */
const DELAY_MS = 4000
const DELAYED_MS = 3000

let site: Site
let generations: Generations
async function start(workers: number): Promise<void> {
  const penalty = { after: 0, step: `${DELAY_MS}ms`, most: `${DELAY_MS}ms`, half_life: '1h' }
  site = await startSite({
    mailmux: {
      settings: { workers },
      adminToken: 'open',
      limits: { failure_delay: '0s', shutdown_grace: '60s', sessions_per_user: 2, penalty },
    },
  })
  generations = watchGenerations(site.scene, site.mailmux)
}
afterEach(() => site.close())

async function logIn(user: string, password = PASSWORD) {
  const client = await site.open('imap', 'clear')
  const startedMs = performance.now()
  const { accepted, answer } = await client.login(user, password)
  const ms = performance.now() - startedMs
  if (!accepted) client.peer.destroy() // the end of the old generation would wait for it
  return { client, accepted, answer, ms }
}

/** An APPEND that has no end yet: the old generation does not end such a session. */
async function keepBusy({ client }: Awaited<ReturnType<typeof logIn>>): Promise<void> {
  client.peer.send('a1 APPEND INBOX {20}')
  await client.peer.expect(/^\+ /)
}

for (const workers of [1, 2])
  test(`an upgrade hands over what the limits count, with ${workers} of workers`, async () => {
    await start(workers)
    const [first, second] = [await logIn(ALICE), await logIn(ALICE)]
    assert.deepEqual([first.accepted, second.accepted], [true, true])
    await keepBusy(first)
    await keepBusy(second)
    assert.equal((await logIn(BOB, 'wrong')).accepted, false)

    assert.equal((await generations.upgrade()).code, 0)
    const guess = await logIn(BOB, 'wrong2')
    assert.equal(guess.accepted, false)
    assert.ok(guess.ms >= DELAYED_MS, `${guess.ms} ms: ${guess.answer}`)

    const third = await logIn(ALICE)
    assert.equal(third.accepted, false)
    assert.match(third.answer, /\[LIMIT\]|\[UNAVAILABLE\]|too many/i)
    first.client.peer.send('Subject: across\r\n\r\n')
    await first.client.peer.expectUntil(/^\* BYE /)
    const logInAgain = () =>
      until(
        READ_DEADLINE_MS,
        async () => {
          const again = await logIn(ALICE)
          return again.accepted ? again : undefined
        },
        () => 'no session is admitted in the place of the one that has ended',
      )
    const admitted = await logInAgain()
    await keepBusy(admitted)
    assert.equal((await logIn(ALICE)).accepted, false)
    second.client.peer.send('Subject: across\r\n\r\n')
    await generations.ended(1)
    const last = await logInAgain()
    last.client.peer.destroy()
    admitted.client.peer.destroy()
    await generations.stop()
  })
