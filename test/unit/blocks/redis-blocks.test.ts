/** The blocks in Redis: what mailmux has not written is no block, and never stops those that are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBlockTable } from '../../../src/blocks/block-table.ts'
import { createRedisBlocks } from '../../../src/blocks/redis-blocks.ts'

const FACTS = '{"by":"admin@host","sinceMs":1}'

function holding(fields: Readonly<Record<string, string>>) {
  return createRedisBlocks({ eval: () => Promise.resolve(Object.entries(fields).flat()) }, 'mailmux:')
}

test('a field that no mailmux has written is no block, and the others are in force', async () => {
  const store = holding({
    'address 192.0.2.0/99': FACTS,
    'address store/1': FACTS,
    'address localhost': FACTS,
    'address 192.0.2.7/24': FACTS,
    'address 0.0.0.0/0': FACTS,
    'address ::ffff:192.0.2.1': FACTS,
    'group all': FACTS,
    'user carol@example.test': 'not JSON',
    'user dave@example.test': '{"by":"x"}',
    'address 192.0.2.0/24': FACTS,
    'address 2001:db8::1': FACTS,
    'user bob@example.test': FACTS,
  })
  const blocks = await store.list()
  assert.deepEqual(
    blocks.map(({ kind, target }) => `${kind} ${target}`),
    ['address 192.0.2.0/24', 'address 2001:db8::1', 'user bob@example.test'],
  )
  assert.equal(createBlockTable().replace(blocks).length, 3)
})

test('an answer in another form is an error, and no empty list', async () => {
  const store = createRedisBlocks({ eval: () => Promise.resolve('OK') }, 'mailmux:')
  await assert.rejects(store.list(), /another form/u)
})

test('removes no more blocks by one command than Lua passes on', async () => {
  const calls: number[] = []
  const store = createRedisBlocks(
    {
      eval(_script: string, _keys: readonly string[], ...fields: string[]) {
        calls.push(fields.length)
        return Promise.resolve(fields.length)
      },
    },
    'mailmux:',
  )
  const targets = Array.from({ length: 1500 }, (_, n) => ({ kind: 'user', target: `u${n}` }) as const)
  assert.equal(await store.remove(targets), 1000)
  assert.deepEqual(calls, [1000])
})
