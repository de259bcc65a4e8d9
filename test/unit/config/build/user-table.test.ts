import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { UserRoute } from '../../../../src/config/settings.ts'
import { buildUserTable, UserTable } from '../../../../src/config/build/user-table.ts'

const route = fc.record(
  {
    backend: fc.constantFrom('store1', 'store2'),
    login: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 10 }), { nil: undefined }),
  },
  { noNullPrototype: true },
)
const users = fc.array(fc.tuple(fc.string({ unit: 'grapheme', maxLength: 12 }), route), { maxLength: 50 })

test('has what the Map has of which it is made, and no more', () => {
  fc.assert(
    fc.property(users, fc.array(fc.string({ unit: 'grapheme', maxLength: 2 })), (entries, strangers) => {
      const map = new Map<string, UserRoute>(entries)
      const table = buildUserTable(map)
      assert.equal(table.size, map.size)
      assert.deepEqual([...table], [...map])
      for (const user of [...map.keys(), ...strangers]) {
        assert.deepEqual(table.get(user), map.get(user))
        assert.equal(table.has(user), map.has(user))
      }
    }),
  )
})

test('arrives as it was in another thread', () => {
  const table = buildUserTable(new Map([['alice@example.test', { backend: 'store1', login: 'a' }]]))
  assert.deepEqual([...new UserTable(structuredClone(table.parts))], [...table])
})

test('is found in where it is empty', () => {
  const table = buildUserTable(new Map())
  assert.equal(table.get('alice@example.test'), undefined)
  assert.deepEqual([...table.keys()], [])
})
