/** What several workers remember together, with a real Redis that stops, and comes back without its data. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { routeAnswer } from '../../src/admin/answers.ts'
import { arrive, nobodyWentAstray, PROTOCOLS } from '../support/arrivals.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { directoryConnected, PASSWORD, type Site, startSite } from '../support/site.ts'
import { watchWorkers, type Workers } from '../support/workers.ts'

const ALICE = 'alice@example.test' // at home on store1
const BOB = 'bob@example.test' // at home on store2
/** Chance hands connections to workers: that so many all go to one is as likely as no accident at all. */
const MANY = 60

let site: Site
let workers: Workers
before(async () => {
  site = await startSite({ redis: true, mailmux: { settings: { workers: 2 } } })
  workers = watchWorkers(site.mailmux, 2)
  await directoryConnected(site.mailmux)
})
after(() => site.close())

/** Logs the user in by IMAP. @returns the worker that has served the login */
async function workerOf(user: string): Promise<number> {
  const client = await site.open('imap', 'clear')
  try {
    const { accepted, answer } = await client.login(user, PASSWORD)
    assert.ok(accepted, answer)
    const { worker } = (await workers.sessions(`?user=${user}`)).sessions.at(-1) ?? {}
    assert.ok(worker !== undefined, 'the session is not listed')
    return worker
  } finally {
    client.peer.destroy()
    await until(
      READ_DEADLINE_MS,
      async () => (await workers.sessions(`?user=${user}`)).total === 0 || undefined,
      () => 'the session does not end',
    )
  }
}

async function explain(user: string) {
  const response = await fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/api/v1/routes/${user}`)
  return routeAnswer.parse(await response.json())
}

test('a user whose route one worker remembers keeps the store at each worker while Redis is stopped', async () => {
  const knowing = await workerOf(ALICE)
  await site.redis!.stop()
  const served = new Set<number>()
  for (let count = 0; count < MANY && served.size < 2; count++) served.add(await workerOf(ALICE))
  assert.deepEqual([...served].sort(), [1, 2])
  for (const protocol of PROTOCOLS) {
    assert.equal((await arrive(site, protocol, ALICE)).at, 'store1')
    for (let count = 0; count < 4; count++) assert.equal((await arrive(site, protocol, BOB)).at, 'come back later')
  }
  const alice = await explain(ALICE)
  assert.deepEqual([alice.usable, alice.route?.backend, alice.otherWorkers], [true, 'store1', undefined])
  // Worker 1 explains. Where it does not remember the user, it says that another worker does.
  const outcomes = alice.steps.filter(({ asked }) => asked === 'workers').map(({ outcome }) => outcome)
  assert.deepEqual(outcomes, knowing === 1 ? [] : ['found'])
  const bob = await explain(BOB)
  assert.deepEqual([bob.usable, bob.steps.at(-1)?.asked, bob.steps.at(-1)?.outcome], [false, 'workers', 'nothing'])
})

test('workers that are started again do not take an emptied Redis for a new one', async () => {
  const pids = [1, 2].map((worker) => workers.pid(worker))
  workers.signal('SIGKILL', 1, 2)
  await until(
    START_DEADLINE_MS * 2,
    () => [1, 2].every((worker) => workers.pid(worker) !== pids[worker - 1]) || undefined,
    () => 'the workers are not started again',
  )
  await workers.allServe()
  await site.redis!.restart() // without its data
  const losses = () => new Set(workers.lines('directory has lost its data').map(({ worker }) => worker))
  await until(
    START_DEADLINE_MS,
    () => losses().size === 2 || undefined,
    () => 'the loss is not noticed',
  )
  for (const protocol of PROTOCOLS)
    for (const user of [ALICE, BOB])
      for (let count = 0; count < 3; count++) assert.equal((await arrive(site, protocol, user)).at, 'come back later')
  await site.redis!.command('HSET', `mailmux:user:${ALICE}`, 'backend', 'store1')
  await site.redis!.command('HDEL', 'mailmux:marker', 'lost')
  await until(
    START_DEADLINE_MS,
    async () => (await arrive(site, 'imap', BOB)).at === 'wrong password' || undefined,
    () => 'the acceptance is not noticed',
  )
  assert.equal((await arrive(site, 'imap', ALICE)).at, 'store1')
})

test('connected no user to a wrong store', () => nobodyWentAstray(site))
