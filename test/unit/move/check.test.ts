/** What forbids the move of one user. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RoutingSettings } from '../../../src/config/settings.ts'
import { checkUser } from '../../../src/move/check.ts'

const routing = { users: new Map(), domains: new Map(), backends: new Map() } as unknown as RoutingSettings
const NONE = { backend: undefined, status: undefined, hold: undefined }

test('names the full form of a name without a domain that has no route', () => {
  assert.deepEqual(checkUser('alice', NONE, 'store2', routing), [
    'the directory has no route of the user: give the name as it is in the directory, with its domain (alice@DOMAIN)',
  ])
  assert.deepEqual(checkUser('alice@example.test', NONE, 'store2', routing), ['the directory has no route of the user'])
})
