/** The instances of a site that moves to another exchange. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { openCurrentInstances } from '../../../src/instances/current-instances.ts'
import { openInstances } from '../../../src/instances/instances.ts'
import { openMemoryHub } from './memory-exchange.ts'

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const ignore = (): void => undefined

test('leaves the old exchange in order, and asks and answers over the new one', async (t) => {
  const [first, second] = [openMemoryHub(), openMemoryHub()]
  const parts = {
    facts: () => Promise.resolve({ pid: 1, version: '1', generation: 1, workers: 1, sessions: 0, since: 1 }),
    alone: 'alone',
    log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
  }
  const own = openCurrentInstances({ ...parts, host: 'one', id: '0'.repeat(12), openExchange: first.open })
  const other = openInstances({ ...parts, host: 'two', id: '1'.repeat(12), openExchange: second.open })
  t.after(() => Promise.all([own.close(), other.close()]))
  const kind = (number: number) => ({
    kind: 'number' as const,
    question: z.strictObject({ kind: z.literal('number') }),
    answer: z.object({ number: z.number() }),
    handle: () => Promise.resolve({ number }),
  })
  const [ask, askOther] = [own.register(kind(1)), other.register(kind(2))]
  const numbers = async (asking: typeof ask) =>
    (await asking({ kind: 'number' })).answers.map(({ answer }) => answer.number)
  await settle()
  assert.deepEqual(
    [first, second].map((hub) => hub.heartbeats().length),
    [1, 1],
  )
  assert.deepEqual(await numbers(ask), [1])

  own.moveTo(second.open)
  await settle()
  assert.deepEqual(
    [first, second].map((hub) => hub.heartbeats().length),
    [0, 2],
  )
  assert.deepEqual(await numbers(ask), [1, 2])
  assert.deepEqual(await numbers(askOther), [2, 1])
  assert.equal(own.name, `one/${'0'.repeat(12)}`)

  own.moveTo(undefined)
  await settle()
  assert.deepEqual(await numbers(ask), [1])
  assert.equal((await own.list()).scope, 'instance')
})
