/** Failures that one client causes do not mark a back end as down. An IPv6 client has a whole /64 of addresses to cause them from. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byPassword, openSite, startStore } from './login-fixture.ts'

for (const [what, addresses, counts] of [
  ['of one /64 count as one client', ['2001:db8::1', '2001:db8::2'], false],
  ['of two networks count as two clients', ['2001:db8::1', '2001:db8:0:1::1'], true],
] as const) {
  test(`failures after the user name was sent, from two addresses ${what}`, async (t) => {
    const site = openSite(t, await startStore(t, (_line, _say, socket) => socket.destroy()))
    const users = ['alice', 'bob']
    const logins = addresses.map((address, at) => site.login(site.connect(address), byPassword(users[at] ?? '')))
    await Promise.all(logins)
    // A store that is down has begun to count anew.
    const confirmed = site.live.addresses('imap')[0]?.health.confirmed === true || !site.live.isUp('imap')
    assert.equal(confirmed, counts)
  })
}
