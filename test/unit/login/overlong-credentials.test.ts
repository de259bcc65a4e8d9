/** Servers hang up on what does not fit into their buffers. Such a login is refused as a wrong password, and no back end hears of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asOctets, type Octets } from '../../../src/octets.ts'
import type { Credentials, LoginAttempt } from '../../../src/protocol/protocol.ts'
import { Secret } from '../../../src/secret.ts'
import { openSite, startStore } from './login-fixture.ts'

const password = (user: string, authcid: string, bytes: number): LoginAttempt => {
  const secret = new Secret(asOctets('x'.repeat(bytes)))
  const credentials: Credentials = { kind: 'password', authcid: asOctets(authcid), password: secret }
  return { user: asOctets(user), mechanism: 'PLAIN', credentials, id: new Map(), ttl: undefined, preamble: [] }
}

const relayed = (mechanism: 'XOAUTH2' | 'SCRAM-SHA-256', bytes: number): LoginAttempt => {
  const firstMessage = (): Secret<Octets> => new Secret(asOctets('x'.repeat(bytes)))
  const converse = (): Promise<string> => Promise.reject(new Error('the client was asked'))
  const credentials: Credentials = { kind: 'relayed', mechanism, firstMessage, converse }
  return { user: asOctets('alice'), mechanism, credentials, id: new Map(), ttl: undefined, preamble: [] }
}

const TOO_LONG: Record<string, LoginAttempt> = {
  'a password of 12,000 octets': password('alice', 'alice', 12_000),
  'a password and a name that together are one octet too long': password('alice', 'alice', 4000 - 5 + 1),
  'the same with an authzid': password('bob', 'alice', 4000 - 8 + 1),
  'a name of 5,000 octets': password('a'.repeat(5000), 'a'.repeat(5000), 1),
  'an authcid of 5,000 octets': password('alice', 'a'.repeat(5000), 1),
  'a first message of SCRAM of 4,001 octets': relayed('SCRAM-SHA-256', 4001),
  'a token of over 48 KiB': relayed('XOAUTH2', 48 * 1024 + 1),
}

for (const [what, attempt] of Object.entries(TOO_LONG)) {
  test(`refuses ${what} as a wrong password, and asks no back end`, async (t) => {
    const heard: string[] = []
    const port = await startStore(t, (line, _, socket) => {
      heard.push(line)
      socket.destroy()
    })
    const site = openSite(t, port)
    const outcome = await site.login(site.connect(), attempt)
    assert.ok(!outcome.accepted)
    assert.equal(outcome.refusal.reason, 'authentication-failed', outcome.detail)
    assert.deepEqual(heard, [])
    assert.equal(site.live.addresses('imap')[0]?.health.clientSpecificFailures, 0)
  })
}

const FITS: Record<string, LoginAttempt> = {
  'a password that fits by an octet': password('alice', 'alice', 4000 - 5),
  'a token of 20 KiB': relayed('XOAUTH2', 20 * 1024),
}

for (const [what, attempt] of Object.entries(FITS)) {
  test(`hands on ${what}`, async (t) => {
    const port = await startStore(t, (line, say) =>
      say(line.startsWith('A AUTH') && !line.includes(' ', 20) ? '+ ' : 'A NO no'),
    )
    const site = openSite(t, port)
    const outcome = await site.login(site.connect(), attempt)
    assert.ok(!outcome.accepted && outcome.detail.startsWith('the back end said NO'), JSON.stringify(outcome))
  })
}

test('takes a hang-up on a token that not every server takes for a refusal: once, and not for a failure of the store', async (t) => {
  let heard = 0
  const port = await startStore(t, (_, __, socket) => {
    heard++
    socket.destroy()
  })
  const site = openSite(t, port)
  const outcome = await site.login(site.connect(), relayed('XOAUTH2', 8000))
  assert.ok(!outcome.accepted)
  assert.equal(outcome.refusal.reason, 'authentication-failed', outcome.detail)
  assert.equal(heard, 1)
  assert.equal(site.live.addresses('imap')[0]?.health.clientSpecificFailures, 0)
})

test('takes a BYE on such a token for a refusal too', async (t) => {
  const site = openSite(t, await startStore(t, (_, say) => say('* BYE line too long')))
  const outcome = await site.login(site.connect(), relayed('XOAUTH2', 8000))
  assert.ok(!outcome.accepted)
  assert.equal(outcome.refusal.reason, 'authentication-failed', outcome.detail)
})

test('takes a hang-up before the token was sent for a failure of the store', async (t) => {
  const site = openSite(t, await startStore(t, () => undefined, ''))
  const outcome = await site.login(site.connect(), relayed('XOAUTH2', 8000))
  assert.ok(!outcome.accepted)
  assert.deepEqual([outcome.refusal.reason, outcome.code], ['unavailable', 'backend-closed'])
})

test('takes another answer to the token for a failure of the store', async (t) => {
  const site = openSite(t, await startStore(t, (_, say) => say('SSH-2.0')))
  const outcome = await site.login(site.connect(), relayed('XOAUTH2', 8000))
  assert.ok(!outcome.accepted)
  assert.deepEqual([outcome.refusal.reason, outcome.code], ['unavailable', 'backend-garbage'])
})
