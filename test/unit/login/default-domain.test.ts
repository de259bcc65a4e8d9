import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findDefaultDomain } from '../../../src/login/default-domain.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

test('finds the domain of a bare name, and says what it follows from', () => {
  const defaultDomains = new Map([
    ['imap.one.test', 'one.test'],
    ['198.51.100.2', 'two.test'],
  ])
  const listener = listenerSettings({ defaultDomains, defaultDomain: 'default.test' })
  const find = (serverName?: string, address?: string) => findDefaultDomain(listener, serverName, address)
  assert.deepEqual(find('imap.one.test', '198.51.100.2'), { domain: 'one.test', by: 'server-name' })
  assert.deepEqual(find('other.test', '198.51.100.2'), { domain: 'two.test', by: 'address' })
  assert.deepEqual(find(undefined, '198.51.100.2'), { domain: 'two.test', by: 'address' })
  for (const [serverName, address] of [
    ['other.test', '198.51.100.3'],
    [undefined, undefined],
  ])
    assert.deepEqual(find(serverName, address), { domain: 'default.test', by: 'listener' })
  const without = listenerSettings({ defaultDomains, defaultDomain: undefined })
  assert.equal(findDefaultDomain(without, 'other.test', '198.51.100.3'), undefined)
})
