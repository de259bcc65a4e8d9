/** An unknown user is asked and refused as a known one with a wrong password: neither words nor steps tell who exists. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { named } from '../../support/user-name.ts'
import { byFirstMessage, byScram, openSite, startStore, steerClock, type Site } from './login-fixture.ts'

const startRefusingStore = (t: TestContext) =>
  startStore(t, (line, say) => say(line.startsWith('A ') ? '+ cj1u' : 'A NO [AUTHENTICATIONFAILED] no'))

/** What the client is asked, and how it ends. */
async function play(site: Site, user: string, answer: string) {
  const challenges: string[] = []
  const outcome = await site.login(
    site.connect(),
    byScram(user, (challenge) => {
      challenges.push(challenge)
      return Promise.resolve(answer)
    }),
  )
  assert.ok(!outcome.accepted)
  return { steps: challenges.length, challenges, refusal: outcome.refusal, last: outcome.last }
}

for (const [what, answer] of [
  ['a proof', 'Yz1iaXdzLHI9bixwPXg='],
  ['a cancel', '*'],
] as const) {
  test(`is refused after ${what} as a known one is`, async (t) => {
    const site = openSite(t, await startRefusingStore(t))
    const known = await play(site, 'alice', answer)
    const unknown = await play(site, 'nobody', answer)
    assert.deepEqual({ ...unknown, challenges: [] }, { ...known, challenges: [] })
  })
}

test('is refused as a known one where the client acts for another, which Dovecot refuses without a challenge', async (t) => {
  const port = await startStore(t, (_line, say) => say('A NO [AUTHENTICATIONFAILED] no'))
  const site = openSite(t, port)
  const asked: string[] = []
  const refusalOf = async (user: string): Promise<unknown> => {
    const attempt = byFirstMessage(`n,a=${user},n=mallory,r=nonce`, () => {
      asked.push(user)
      return Promise.resolve('Yz1u')
    })
    const outcome = await site.login(site.connect(), attempt)
    return outcome.accepted || outcome.refusal
  }
  assert.deepEqual(await refusalOf('nobody'), await refusalOf('alice'))
  assert.deepEqual(asked, [])
})

test('is refused as a known one where the name lacks its domain, which the proof covers', async (t) => {
  // A store that hangs up: the answer to a known user may not take a connection either, whose time would tell.
  const port = await startStore(t, () => undefined, '')
  const site = openSite(t, port, {}, (name) => named(`${name}@example.test`))
  const refusalOf = async (user: string): Promise<unknown> => {
    const attempt = byFirstMessage(`n,,n=${user},r=nonce`, () => Promise.resolve('*'))
    const outcome = await site.login(site.connect(), attempt)
    return outcome.accepted || outcome.refusal
  }
  const known = await refusalOf('alice')
  assert.deepEqual(known, { reason: 'misconfigured' })
  assert.deepEqual(await refusalOf('nobody'), known)
})

test('is challenged as a known one where a master user logs in, whose name the proof covers', async (t) => {
  const site = openSite(t, await startRefusingStore(t), {}, (name) => {
    const owner = named(name.replace('*admin', ''))
    return { ...owner, master: '*admin' }
  })
  const play = async (user: string): Promise<unknown> => {
    const asked: string[] = []
    const attempt = byFirstMessage(`n,,n=${user}*admin,r=nonce`, (challenge) => {
      asked.push(challenge)
      return Promise.resolve('Yz1u')
    })
    const outcome = await site.login(site.connect(), attempt)
    return { steps: asked.length, refusal: outcome.accepted || outcome.refusal }
  }
  const known = await play('alice')
  assert.deepEqual(known, { steps: 1, refusal: { reason: 'authentication-failed' } })
  assert.deepEqual(await play('nobody'), known)
})

test('is challenged with the same salt each time', async (t) => {
  const site = openSite(t, await startRefusingStore(t))
  const salts: (string | undefined)[] = []
  for (let i = 0; i < 2; i++) {
    const { challenges } = await play(site, 'nobody', 'Yz1u')
    salts.push(/,s=([^,]+),/.exec(Buffer.from(challenges[0] ?? '', 'base64').toString('latin1'))?.[1])
  }
  assert.notEqual(salts[0], undefined)
  assert.equal(salts[0], salts[1])
})

test('is challenged after the time that back ends take: it is noted without the answer of the client', async (t) => {
  const pass = steerClock(t)
  const port = await startStore(t, (line, say) => {
    if (line.startsWith('A ')) pass(3000)
    say(line.startsWith('A ') ? '+ cj1u' : 'A NO no')
  })
  const site = openSite(t, port)
  await site.login(
    site.connect(),
    byScram('alice', () => {
      pass(60_000)
      return Promise.resolve('Yz1u')
    }),
  )
  assert.equal(site.challenged.length, 1)
  assert.ok(Number(site.challenged[0]) >= 3000 && Number(site.challenged[0]) < 30_000, String(site.challenged[0]))
})
