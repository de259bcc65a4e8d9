/** Which connections are carried unopened. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Backend, Backends } from '../../../src/backend/backends.ts'
import { findPassThrough } from '../../../src/session/pass-through.ts'

const STORE = { settings: { name: 'store1' } } as Backend
const backends: Backends = new Map([['store1', STORE]])
const passthrough = new Map([
  ['store.test', 'store1'],
  ['removed.test', 'store2'],
])

const find = (serverName: string | undefined) =>
  findPassThrough({ phase: 'login', peekServerName: () => Promise.resolve(serverName) }, { passthrough }, { backends })

test('a server name with a rule leads to its back end, and any other name to none', async () => {
  assert.equal(await find('store.test'), STORE)
  assert.equal(await find('mail.test'), undefined)
  assert.equal(await find(undefined), undefined)
})

test('TLS for a back end that a reload has removed is not opened by mailmux instead', async () => {
  // A listener that was renamed keeps its rules until the restart, also where the routing file has no such back end any more.
  await assert.rejects(find('removed.test'), { code: 'client-no-such-name' })
})
