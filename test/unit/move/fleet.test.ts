/** The question of a move to the instances of a site, with an exchange in memory. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { openInstances, type Instances } from '../../../src/instances/instances.ts'
import { quiesceKind, type QuiesceAnswer, type QuiesceQuestion } from '../../../src/instances/quiesce-question.ts'
import { openFleet, type OpenFleet } from '../../../src/move/fleet.ts'
import { silent } from '../directory/scripted-redis.ts'
import { openMemoryHub, type MemoryHub } from '../instances/memory-exchange.ts'

const TOKEN = 'a'.repeat(32)

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

type Site = { hub: MemoryHub; instances: Instances[]; fleet: OpenFleet; asked: QuiesceQuestion[] }

/** @param answers of the instances, in order */
async function startSite(t: TestContext, answers: readonly QuiesceAnswer[]): Promise<Site> {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const hub = openMemoryHub()
  const asked: QuiesceQuestion[] = []
  const instances = answers.map((answer, index) => {
    const instance = openInstances({
      host: `web${index + 1}`,
      id: index.toString(16).padStart(12, '0'),
      facts: () => Promise.resolve({ pid: 1, version: '1', generation: 1, workers: 1, sessions: 0, since: 0 }),
      openExchange: hub.open,
      alone: '',
      log: silent,
    })
    instance.register(
      quiesceKind((question) => {
        asked.push(question)
        return Promise.resolve(answer)
      }),
    )
    return instance
  })
  await settle()
  const fleet = openFleet('admin1', 'f'.repeat(12), hub.open)
  await fleet.listening
  return { hub, instances, fleet, asked }
}

test('asks each instance for the user, and is none of them', async (t) => {
  const { instances, fleet, asked } = await startSite(t, [
    { isHeld: true, left: 0 },
    { isHeld: true, left: 2 },
    { isHeld: false, why: 'the user is not on hold here' },
  ])
  const [one, two, three] = instances.map(({ name }) => name)
  assert.deepEqual(new Set((await fleet.list()).live), new Set([one, two, three]))
  const { live, lost, told } = await fleet.quiesce('ann@example.test', 'store1', TOKEN)
  assert.deepEqual(new Set(live), new Set([one, two, three]))
  assert.deepEqual(lost, [])
  assert.deepEqual(
    told,
    new Map<unknown, unknown>([
      [one, 'clear'],
      [two, { left: 2 }],
      [three, { unsure: 'the user is not on hold here' }],
    ]),
  )
  assert.deepEqual(asked[0], { kind: 'quiesce', user: 'ann@example.test', backend: 'store1', token: TOKEN })
})

test('names an instance that does not answer, and one that is lost', async (t) => {
  const clear = { isHeld: true, left: 0 } as const
  const { hub, instances, fleet } = await startSite(t, [clear, clear])
  const [one, two] = instances.map(({ name }) => name)
  hub.freeze(two!)
  const asking = fleet.quiesce('ann', 'store1', TOKEN)
  await settle()
  t.mock.timers.tick(2000)
  const { live, told } = await asking
  assert.deepEqual(new Set(live), new Set([one, two]))
  assert.deepEqual([...told.keys()], [one])

  hub.advance(20)
  assert.deepEqual(await fleet.list(), { live: [], lost: [one, two] })
})

test('an unavailable directory is no site without instances', async (t) => {
  const { hub, fleet } = await startSite(t, [{ isHeld: true, left: 0 }])
  hub.fail('Redis: no answer in time')
  await assert.rejects(fleet.list(), { code: 'directory-unavailable' })
  await assert.rejects(fleet.quiesce('ann', 'store1', TOKEN), { code: 'directory-unavailable' })
})
