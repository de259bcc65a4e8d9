/** Logins to a back end that an operator has taken out of service. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byPassword, openSite, startStore } from './login-fixture.ts'

test('a back end that is down refuses a login at once as an outage, and is not dialled', async (t) => {
  let heard = 0
  const port = await startStore(t, (_, say) => {
    heard++
    say('A OK in')
  })
  const site = openSite(t, port, { state: 'down' })
  const result = await site.login(site.connect(), byPassword('alice'))
  assert.ok(!result.accepted)
  assert.deepEqual([result.refusal.reason, result.code], ['unavailable', 'backend-down'])
  assert.equal(heard, 0)
  assert.deepEqual(site.facts(), { logins: 0, sessions: 0, waiting: 0 })
})

test('a login succeeds once the state is up again', async (t) => {
  const port = await startStore(t, (_, say) => say('A OK in'))
  const site = openSite(t, port)
  site.states.setFromDirectory('store-1', { state: 'down', overMs: undefined })
  const refused = await site.login(site.connect(), byPassword('alice'))
  assert.equal(refused.accepted, false)
  site.states.setFromDirectory('store-1', undefined)
  const result = await site.login(site.connect(), byPassword('alice'))
  assert.ok(result.accepted)
  result.backend.close()
})
