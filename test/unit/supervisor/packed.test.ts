/** Settings on their way to a worker: what arrives is what was sent, secrets included, whatever the channel makes of objects. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../../../src/secret.ts'
import { pack, unpack } from '../../../src/supervisor/packed.ts'

/** What the channel does. */
const carry = <T>(value: T): T => structuredClone(value)

test('carries Maps, Sets, lists, what is undefined, secrets and addresses', () => {
  const sent = {
    users: new Map([['alice', { backend: 'store1', login: undefined }]]),
    names: new Set(['a', 'b']),
    list: [1, 'two', null, undefined, true, Infinity],
    token: new Secret('open-sesame'),
    headers: new Map([['x-key', new Secret('s3')]]),
    url: new URL('http://127.0.0.1:80/auth?x=1'),
    deep: { er: [{ secret: new Secret('') }] },
  }
  const got = unpack(carry(pack(sent)))
  assert.deepEqual(got.users, sent.users)
  assert.deepEqual(got.names, sent.names)
  assert.deepEqual(got.list, sent.list)
  assert.ok('login' in got.users.get('alice')!)
  assert.ok(got.token instanceof Secret)
  assert.equal(got.token.reveal(), 'open-sesame')
  assert.equal(got.headers.get('x-key')?.reveal(), 's3')
  assert.ok(got.url instanceof URL)
  assert.equal(got.url.href, sent.url.href)
  assert.equal(got.deep.er[0]?.secret.reveal(), '')
})

test('lets what is in it twice be one thing afterwards too', () => {
  const store = { name: 'store1', secret: new Secret('x') }
  const got = unpack(carry(pack({ all: new Map([['store1', store]]), pool: [store, store] })))
  assert.equal(got.pool[0], got.pool[1])
  assert.equal(got.pool[0], got.all.get('store1'))
})
