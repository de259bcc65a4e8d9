/** Networks that may connect. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildAccess } from '../../../src/limits/access.ts'

/** @returns the limit that rejects each address; undefined for those that may connect */
function limitsFor(settings: Parameters<typeof buildAccess>[0], addresses: readonly string[]) {
  const access = buildAccess(settings)
  return addresses.map((address) => access?.(address)?.limit)
}

test('costs nothing without networks', () => {
  assert.equal(buildAccess({ allow: undefined, deny: [] }), undefined)
})

test('rejects the addresses of deny and no others', () => {
  const deny = ['192.0.2.0/24', '2001:db8::/32']
  const addresses = ['192.0.2.7', '::ffff:192.0.2.7', '2001:db8::1', '198.51.100.1', '2001:db9::1', '::1']
  assert.deepEqual(limitsFor({ allow: undefined, deny }, addresses), [
    'deny',
    'deny',
    'deny',
    undefined,
    undefined,
    undefined,
  ])
})

test('rejects the addresses that allow does not have', () => {
  const addresses = ['10.1.2.3', '192.0.2.7', '2001:db8::1', 'unknown']
  assert.deepEqual(limitsFor({ allow: ['10.0.0.0/8'], deny: [] }, addresses), [undefined, 'allow', 'allow', 'allow'])
})

test('rejects an address that both lists have', () => {
  assert.deepEqual(limitsFor({ allow: ['10.0.0.0/8'], deny: ['10.9.0.0/16'] }, ['10.1.2.3', '10.9.0.1']), [
    undefined,
    'deny',
  ])
})

test('rejects every address with an empty list of allowed networks', () => {
  assert.deepEqual(limitsFor({ allow: [], deny: [] }, ['10.1.2.3', '::1']), ['allow', 'allow'])
})
