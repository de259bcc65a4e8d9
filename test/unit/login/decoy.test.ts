/** Which refused logins get a challenge first: those that a back end would have challenged. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refuseAsBackend } from '../../../src/login/decoy.ts'
import type { Login } from '../../../src/login/login.ts'
import { asOctets } from '../../../src/octets.ts'
import type { Refused } from '../../../src/protocol/protocol.ts'
import { Secret } from '../../../src/secret.ts'
import { VirtualClock } from './virtual-clock.ts'

type Play = {
  reason?: 'authentication-failed' | 'unavailable' | 'misconfigured'
  mechanism: string
  kind?: 'relayed' | 'password'
  message?: string
  answer?: string
  recorded?: string
}

async function play({
  reason = 'authentication-failed',
  mechanism,
  kind = 'relayed',
  message = 'n,,n=alice,r=nonce',
  answer = 'Yz1u',
  recorded,
}: Play) {
  const clock = new VirtualClock()
  const asked: string[] = []
  const converse = (challenge: string): Promise<string> => (
    asked.push(`${challenge} at ${clock.ms}`),
    Promise.resolve(answer)
  )
  const secret = new Secret(asOctets('secret'))
  const credentials =
    kind === 'relayed'
      ? { kind, mechanism, firstMessage: () => new Secret(asOctets(message)), converse }
      : { kind, authcid: 'alice', password: secret, converse }
  const login = {
    attempt: { mechanism, user: asOctets('alice'), credentials },
    record: { user: recorded },
    services: { clock, pace: { challengeMs: () => 250 } },
    world: { decoyChallenge: (...of: string[]) => of.join('|') },
  } as unknown as Login
  const refusal: Refused = { accepted: false, refusal: { reason }, detail: 'no route' }
  const result = await clock.until(Promise.resolve(refuseAsBackend(login, refusal)))
  return { asked, result: result === refusal ? 'the same' : result.refusal.reason }
}

test('challenges by SCRAM at the pace of back ends, under the name that routes are kept under', async () => {
  for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256']) {
    const challenge = (user: string): string => `${mechanism}|${user}|n,,n=alice,r=nonce at 250`
    assert.deepEqual(await play({ mechanism }), { asked: [challenge('alice')], result: 'the same' })
    const recorded = 'alice@example.test'
    assert.deepEqual(await play({ mechanism, recorded }), { asked: [challenge(recorded)], result: 'the same' })
  }
})

test('treats a cancelled exchange as cancelled', async () => {
  const { asked, result } = await play({ mechanism: 'SCRAM-SHA-1', answer: '*' })
  assert.deepEqual([asked.length, result], [1, 'cancelled'])
})

test('sends a challenge only if a back end would have sent one', async () => {
  const cases: Record<string, Play> = {
    'another refusal': { mechanism: 'SCRAM-SHA-1', reason: 'unavailable' },
    'a name that no back end would have': { mechanism: 'SCRAM-SHA-256', reason: 'misconfigured' },
    'a token': { mechanism: 'XOAUTH2', message: 'user=alice\x01auth=Bearer x\x01\x01' },
    'another token': { mechanism: 'OAUTHBEARER' },
    'a password': { mechanism: 'PLAIN', kind: 'password' },
    'a password under the name of SCRAM': { mechanism: 'SCRAM-SHA-1', kind: 'password' },
    'a message that is too long': { mechanism: 'SCRAM-SHA-1', message: `n,,n=alice,r=${'x'.repeat(4000)}` },
    'a client that acts for another': { mechanism: 'SCRAM-SHA-1', message: 'n,a=alice,n=bob,r=nonce' },
  }
  for (const [what, scene] of Object.entries(cases))
    assert.deepEqual(await play(scene), { asked: [], result: 'the same' }, what)
})
